//! `GET /openapi.json`: the OpenAPI document of this server, with its limits.

use serde_json::{Value, json};

use super::Limits;
use super::model_card::Model;
use crate::data::Preparation;

/// Returns the document.
pub fn document(model: &Model, limits: &Limits) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("seqfit serve: {}", model.name),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Classifies images with a trained network. There is no authentication.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": {
            "/": { "get": {
                "operationId": "page",
                "summary": "A page to draw on",
                "responses": { "200": {
                    "description": "A self-contained HTML page",
                    "content": { "text/html": { "schema": { "type": "string" } } },
                } },
            } },
            "/predict": { "post": predict(model, limits) },
            "/health": { "get": {
                "operationId": "health",
                "summary": "The state and the description of the network",
                "responses": {
                    "200": is("The network is running", "Health"),
                    "503": is("The network has stopped", "Health"),
                },
            } },
            "/metrics": { "get": {
                "operationId": "metrics",
                "summary": "Metrics for Prometheus",
                "responses": { "200": {
                    "description": "OpenMetrics text",
                    "content": { "application/openmetrics-text": { "schema": { "type": "string" } } },
                } },
            } },
            "/openapi.json": { "get": {
                "operationId": "openapi",
                "summary": "This document",
                "responses": { "200": {
                    "description": "OpenAPI 3.1",
                    "content": { "application/json": { "schema": { "type": "object" } } },
                } },
            } },
        },
        "components": { "schemas": schemas(model, limits) },
    })
}

fn predict(model: &Model, limits: &Limits) -> Value {
    let [height, width] = model.input;
    let most = limits.batch_of(model.input);
    let switch = |name: &str, what: &str| {
        json!({
            "name": name, "in": "query", "description": what,
            "schema": { "type": "string", "enum": ["0", "1", "false", "true"], "default": "0" },
        })
    };
    let kinds = Preparation::ALL.map(Preparation::as_str);
    let prepare = json!({
        "name": "prepare", "in": "query",
        "description": "How pictures become images: raw (of the network's input size, used unchanged), \
                        digit (one handwritten sign is found, cropped and centered, bright on \
                        black) or resize (the whole picture in gray, scaled)",
        "schema": { "type": "string", "enum": kinds, "default": model.preparation },
    });
    let how = match model.preparation {
        Preparation::Raw => format!("must be of {height}x{width}, and is used unchanged, in gray"),
        Preparation::Digit => format!(
            "is prepared as a digit: gray, bright on black, fitted into the middle of {height}x{width} \
             and centered by mass"
        ),
        Preparation::Resize => format!("is scaled to {height}x{width} as a whole, in gray"),
    };
    let picture = json!({ "schema": { "type": "string", "format": "binary" } });
    let mut responses = json!({
        "200": {
            "description": "One prediction for one image, a list for a list",
            "content": { "application/json": { "schema": { "oneOf": [
                reference("Prediction"), reference("Predictions"),
            ] } } },
        },
    });
    for (code, what) in [
        ("400", "The body or the query breaks a rule"),
        ("408", "The body was too slow"),
        ("413", "The body is too long"),
        ("415", "The content type is not supported"),
        ("500", "The network failed"),
        ("503", "Too many requests at once: try again after Retry-After seconds"),
    ] {
        responses[code] = is(what, "Problem");
    }
    json!({
        "operationId": "predict",
        "summary": "Predict the class of an image",
        "description": format!(
            "A picture {how}, unless prepare says otherwise. A body has at most {body} bytes, a \
             decoded picture {picture}, a request {most} images.",
            body = limits.body, picture = limits.picture
        ),
        "parameters": [
            switch("prepared", "Also return the prepared image that the network saw"),
            prepare,
            switch("raw", "The same as prepare=raw"),
        ],
        "requestBody": { "required": true, "content": {
            "image/png": picture,
            "image/jpeg": picture,
            "application/json": { "schema": reference("Request") },
        } },
        "responses": responses,
    })
}

fn schemas(model: &Model, limits: &Limits) -> Value {
    let [height, width] = model.input;
    let classes = model.classes.len();
    let most = limits.batch_of(model.input);
    let list = |of: Value, count: usize| json!({ "type": "array", "items": of, "minItems": count, "maxItems": count });
    let pixel = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
    let image = list(list(pixel, width), height);
    let up_to =
        |of: Value| json!({ "type": "array", "items": of, "minItems": 1, "maxItems": most });
    let base64 = json!({
        "type": "string", "contentEncoding": "base64",
        "description": "A PNG or JPEG file, or a data: URL",
    });
    let one = |key: &str, of: Value| {
        json!({
            "type": "object", "required": [key], "properties": { key: of },
            "additionalProperties": false,
        })
    };
    json!({
        "Request": { "oneOf": [
            one("image", base64.clone()),
            one("images", up_to(base64)),
            one("pixels", json!({
                "description": "The network's input itself, ink bright on dark: one image or a list",
                "oneOf": [image, up_to(image.clone())],
            })),
        ] },
        "Prediction": {
            "type": "object",
            "required": ["class", "label", "probabilities"],
            "properties": {
                "class": { "type": "integer", "minimum": 0, "maximum": classes - 1 },
                "label": { "type": "string", "enum": model.classes },
                "probabilities": list(json!({ "type": "number", "minimum": 0, "maximum": 1 }), classes),
                "prepared": image,
            },
            "additionalProperties": false,
        },
        "Predictions": {
            "type": "object",
            "required": ["predictions"],
            "properties": { "predictions": up_to(reference("Prediction")) },
            "additionalProperties": false,
        },
        "Health": {
            "type": "object",
            "required": ["status", "version", "model"],
            "properties": {
                "status": { "type": "string" },
                "version": { "type": "string" },
                "model": {
                    "type": "object",
                    "required": ["name", "input", "classes", "preparation", "parameters"],
                    "properties": {
                        "name": { "type": "string" },
                        "input": list(json!({ "type": "integer", "minimum": 1 }), 2),
                        "classes": list(json!({ "type": "string" }), classes),
                        "preparation": { "type": "string", "enum": Preparation::ALL },
                        "parameters": { "type": "integer" },
                        "dataset": { "type": "string" },
                        "test_accuracy": { "type": "number", "minimum": 0, "maximum": 1 },
                    },
                },
            },
        },
        "Problem": {
            "type": "object",
            "required": ["error"],
            "properties": { "error": {
                "type": "object",
                "required": ["rule", "message"],
                "properties": {
                    "rule": { "type": "string", "description": "The kind of error, for programs" },
                    "message": {
                        "type": "string",
                        "description": "For people: the rule, the value found, the cure",
                    },
                    "index": { "type": "integer", "description": "Index of the image in a list" },
                },
                "additionalProperties": false,
            } },
            "additionalProperties": false,
        },
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn is(what: &str, schema: &str) -> Value {
    json!({
        "description": what,
        "content": { "application/json": { "schema": reference(schema) } },
    })
}
