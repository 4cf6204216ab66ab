//! `GET /openapi.json`: the OpenAPI document of this server, with its limits.

use serde_json::{Value, json};

use super::Limits;
use super::model_card::{Input, Model, Names, THRESHOLD};
use crate::data::{PictureShape, Preparation};

const THRESHOLD_MEANING: &str = "The probability above which a label counts as predicted";

/// Returns the document.
pub fn document(model: &Model, limits: &Limits) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("seqfit serve: {}", model.name),
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("{}. There is no authentication.", summary(model)),
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": {
            "/": { "get": {
                "operationId": "page",
                "summary": "A page for people",
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

/// Says what the network does.
fn summary(model: &Model) -> String {
    let what = match model.takes() {
        Input::Pictures => "images",
        Input::Pixels => "arrays of pixels",
        Input::Numbers => "samples of numbers",
    };
    match &model.names {
        Names::Classes(_) => format!("Predicts the class of {what}"),
        Names::Labels(_) => format!("Predicts the labels of {what}, each by its probability"),
        Names::Numbers(names) => format!("Predicts numbers for {what}: {}", names.join(", ")),
    }
}

/// Returns the query parameters, which are for networks that take pictures.
fn parameters(model: &Model) -> Value {
    let Some(usual) = model.preparation else { return json!([]) };
    let switch = |name: &str, what: &str| {
        json!({
            "name": name, "in": "query", "description": what,
            "schema": { "type": "string", "enum": ["0", "1", "false", "true"], "default": "0" },
        })
    };
    let is_color = is_color(model);
    let suits = |kind: &Preparation| !(is_color && *kind == Preparation::Digit);
    let kinds: Vec<_> =
        Preparation::ALL.into_iter().filter(suits).map(Preparation::as_str).collect();
    let prepare = json!({
        "name": "prepare", "in": "query",
        "description": "How pictures become images: raw (of the network's input size, used unchanged), \
                        digit (one handwritten sign is found, cropped and centered, bright on \
                        black), resize (the whole picture, scaled), crop (its middle, scaled) or letterbox (scaled \
                        in its proportions, on black)",
        "schema": { "type": "string", "enum": kinds, "default": usual },
    });
    json!([
        switch("prepared", "Also return the prepared image that the network saw"),
        prepare,
        switch("raw", "The same as prepare=raw"),
    ])
}

/// Returns whether the network takes pictures in color.
fn is_color(model: &Model) -> bool {
    PictureShape::of(&model.input).is_some_and(|shape| shape.color)
}

/// Describes `POST /predict`: what a sample is, and the limits.
fn description(model: &Model, limits: &Limits) -> String {
    let (body, most) = (limits.body, limits.batch_of(&model.input));
    let (input, samples) = (&model.input, model.takes().samples());
    let in_color = if is_color(model) { "in color" } else { "in gray" };
    let size = input.iter().skip(input.len().saturating_sub(2));
    let size = size.map(ToString::to_string).collect::<Vec<_>>().join("x");
    let what = match (model.takes(), model.preparation.unwrap_or_default()) {
        (Input::Pixels, _) => format!("A sample has u8 pixels of shape {input:?}."),
        (Input::Numbers, _) => {
            format!("A sample has numbers of shape {input:?}, as in the training data.")
        }
        (Input::Pictures, preparation) => {
            let how = match preparation {
                Preparation::Raw => format!("must be of {size}, and is used unchanged, {in_color}"),
                Preparation::Digit => format!(
                    "is prepared as a digit: gray, bright on black, fitted into the middle of {size} and centered by \
                     mass"
                ),
                Preparation::Resize => format!("is scaled to {size} as a whole, {in_color}"),
                Preparation::Crop => format!("is cropped and scaled to {size}, {in_color}"),
                Preparation::Letterbox => {
                    format!("is scaled in its proportions to fit into black of {size}, {in_color}")
                }
            };
            let picture = limits.picture;
            format!(
                "A picture {how}, unless prepare says otherwise, and has at most {picture} bytes when it is decoded."
            )
        }
    };
    format!("{what} A body has at most {body} bytes, a request {most} {samples}.")
}

fn predict(model: &Model, limits: &Limits) -> Value {
    let mut responses = json!({
        "200": {
            "description": "One prediction for one sample, a list for a list",
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
    let mut content = json!({ "application/json": { "schema": reference("Request") } });
    if model.takes() == Input::Pictures {
        let picture = json!({ "schema": { "type": "string", "format": "binary" } });
        content["image/png"] = picture.clone();
        content["image/jpeg"] = picture;
    }
    json!({
        "operationId": "predict",
        "summary": summary(model),
        "description": description(model, limits),
        "parameters": parameters(model),
        "requestBody": { "required": true, "content": content },
        "responses": responses,
    })
}

fn schemas(model: &Model, limits: &Limits) -> Value {
    let most = limits.batch_of(&model.input);
    let names = model.names.all();
    let key = model.names.key();
    let value = match model.takes() {
        Input::Numbers => json!({ "type": "number" }),
        Input::Pictures | Input::Pixels => {
            json!({ "type": "integer", "minimum": 0, "maximum": 255 })
        }
    };
    let sample = model.input.iter().rev().fold(value, |of, &size| list(of, size));
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
    let array = |key: &str, what: &str| {
        one(key, json!({ "description": what, "oneOf": [sample, up_to(sample.clone())] }))
    };
    let pixels = match is_color(model) {
        true => {
            "The network's input itself, all rows of red, of green and of blue: one image or a list"
        }
        false => "The network's input itself, ink bright on dark: one image or a list",
    };
    let request = match model.takes() {
        Input::Pictures => json!({ "oneOf": [
            one("image", base64.clone()),
            one("images", up_to(base64)),
            array("pixels", pixels),
        ] }),
        Input::Pixels => array("pixels", "One sample of pixels or a list"),
        Input::Numbers => array("inputs", "One sample of numbers or a list"),
    };
    json!({
        "Request": request,
        "Prediction": prediction(model, &sample),
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
                    "required": ["name", "features", "input", key, "parameters"],
                    "properties": {
                        "name": { "type": "string" },
                        "features": { "type": "string", "enum": ["pixels", "floats"] },
                        "input": list(json!({ "type": "integer", "minimum": 1 }), model.input.len()),
                        key: list(json!({ "type": "string" }), names.len()),
                        "threshold": { "type": "number", "description": THRESHOLD_MEANING },
                        "preparation": { "type": "string", "enum": Preparation::ALL },
                        "parameters": { "type": "integer" },
                        "dataset": { "type": "string" },
                        "test_accuracy": { "type": "number", "minimum": 0, "maximum": 1 },
                        "test_metrics": {
                            "type": "object", "additionalProperties": { "type": "number" },
                        },
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
                    "index": { "type": "integer", "description": "Index of the sample in a list" },
                },
                "additionalProperties": false,
            } },
            "additionalProperties": false,
        },
    })
}

/// The schema of a prediction.
fn prediction(model: &Model, image: &Value) -> Value {
    let names = model.names.all();
    let probability = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let by_name = |of: Value| {
        let properties: serde_json::Map<_, _> =
            names.iter().map(|name| (name.clone(), of.clone())).collect();
        json!({
            "type": "object", "required": names, "properties": properties, "additionalProperties": false,
        })
    };
    let mut properties = match &model.names {
        Names::Classes(_) => json!({
            "class": { "type": "integer", "minimum": 0, "maximum": names.len() - 1 },
            "label": { "type": "string", "enum": names },
            "probabilities": list(probability, names.len()),
        }),
        Names::Labels(_) => json!({
            "labels": {
                "type": "array", "items": { "type": "string", "enum": names },
                "description": "The labels whose probability is above the threshold",
            },
            "probabilities": by_name(probability),
            "threshold": { "type": "number", "const": THRESHOLD, "description": THRESHOLD_MEANING },
        }),
        Names::Numbers(_) => json!({ "values": by_name(json!({ "type": "number" })) }),
    };
    let required: Vec<String> =
        properties.as_object().into_iter().flat_map(|keys| keys.keys().cloned()).collect();
    if model.takes() == Input::Pictures {
        properties["prepared"] = image.clone();
    }
    json!({
        "type": "object", "required": required, "properties": properties, "additionalProperties": false,
    })
}

/// A list of this length.
fn list(of: Value, count: usize) -> Value {
    json!({ "type": "array", "items": of, "minItems": count, "maxItems": count })
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
