//! The routes and their handlers, and what is common to all of them.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize, Serializer};
use tokio::time::timeout;

use super::error_response::{Problem, json};
use super::model_card::{Model, Names, THRESHOLD};
use super::openapi;
use super::page::Page;
use super::predict_request::{Kind, PredictOptions, Samples};
use super::predictor::Predictor;
use super::prometheus::{self, Metrics};
use super::request_body::Bodies;
use super::{Limits, ServeConfig};
use crate::data::Preparation;
use crate::model::Sequential;

/// A JSON body up to this length that begins with an array is parsed on the async thread.
const SMALL: usize = 16 << 10;

/// The shared state of all handlers.
#[derive(Debug)]
pub struct App {
    pub metrics: Arc<Metrics>,
    predictor: Predictor,
    bodies: Bodies,
    page: Page,
    openapi: Vec<u8>,
    model: Model,
    queue: usize,
    limits: Limits,
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'static str,
    model: &'a Model,
}

/// The query parameters of `/predict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    prepared: Switch,
    prepare: Option<Preparation>,
    raw: Switch,
}

impl Options {
    /// Returns how pictures become images: as the request says, else like the network's training data, which is none if
    /// the network takes no pictures.
    fn preparation(self, usual: Option<Preparation>) -> Result<Preparation, Problem> {
        let Some(usual) = usual else {
            return match self == Self::default() {
                true => Ok(Preparation::Raw),
                false => Err(Problem::bad(
                    "query",
                    "prepared, prepare and raw are for networks that take pictures, and this one takes arrays: leave \
                     them out",
                )),
            };
        };
        match (self.prepare, self.raw) {
            (Some(Preparation::Raw) | None, Switch::On) => Ok(Preparation::Raw),
            (chosen, Switch::Off) => Ok(chosen.unwrap_or(usual)),
            (Some(other), Switch::On) => Err(Problem::bad(
                "query",
                format!("raw=1 means prepare=raw, found prepare={other} as well: choose one"),
            )),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Switch {
    #[default]
    #[serde(rename = "0", alias = "false")]
    Off,
    #[serde(rename = "1", alias = "true")]
    On,
}

#[derive(Serialize)]
struct Prediction<'a> {
    #[serde(flatten)]
    predicted: Predicted<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prepared: Option<Image<'a>>,
}

/// An image as the network sees it, row by row.
#[derive(Serialize)]
#[serde(untagged)]
enum Image<'a> {
    Gray(Vec<&'a [u8]>),
    /// Red, green and blue.
    Planes(Vec<Vec<&'a [u8]>>),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Predicted<'a> {
    Class { class: usize, label: &'a str, probabilities: &'a [f32] },
    Labels { labels: Vec<&'a str>, probabilities: ByName<'a>, threshold: f32 },
    Numbers { values: ByName<'a> },
}

/// An object of values by their names.
struct ByName<'a> {
    names: &'a [String],
    values: &'a [f32],
}

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.values))
    }
}

#[derive(Serialize)]
struct Predictions<'a> {
    predictions: Vec<Prediction<'a>>,
}

impl App {
    /// Starts the thread of the network.
    ///
    /// # Errors
    /// An error of the system when it cannot start the thread.
    pub fn start(network: Sequential, model: Model, config: &ServeConfig) -> io::Result<Arc<Self>> {
        let limits = config.limits.clone();
        let metrics = Arc::new(Metrics::new());
        let predictor = Predictor::start(network, config.threads, &limits, Arc::clone(&metrics))?;
        Ok(Arc::new(Self {
            queue: predictor.free(),
            bodies: Bodies::new(&limits),
            page: Page::new(&model, limits.batch_of(&model.input))?,
            openapi: serde_json::to_vec(&openapi::document(&model, &limits))?,
            metrics,
            predictor,
            model,
            limits,
        }))
    }

    /// Returns the routes.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", get(page))
            .route("/predict", post(predict))
            .route("/health", get(health))
            .route("/metrics", get(render_metrics))
            .route("/openapi.json", get(describe))
            .fallback(not_found)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(Arc::clone(self), observe))
            .with_state(Arc::clone(self))
    }
}

/// Counts every response, and adds the headers that all responses have.
async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = match request.uri().path() {
        "/" => "/",
        "/predict" => "/predict",
        "/health" => "/health",
        "/metrics" => "/metrics",
        "/openapi.json" => "/openapi.json",
        _ => "other",
    };
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    app.metrics.request(path, response.status(), began.elapsed());
    response
}

async fn page(State(app): State<Arc<App>>) -> Response {
    app.page.response()
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let (status, text) = match app.predictor.is_alive() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the network has stopped answering"),
    };
    let version = env!("CARGO_PKG_VERSION");
    (status, json(&Health { status: text, version, model: &app.model })).into_response()
}

async fn render_metrics(State(app): State<Arc<App>>) -> Response {
    let model = &app.model;
    let input: Vec<String> = model.input.iter().map(ToString::to_string).collect();
    let info = vec![
        ("name", model.name.clone()),
        ("input", input.join("x")),
        (model.names.key(), model.names.all().len().to_string()),
        ("parameters", model.parameters.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let text = app.metrics.text(info, app.queue - app.predictor.free());
    ([(header::CONTENT_TYPE, prometheus::MEDIA_TYPE)], text).into_response()
}

async fn describe(State(app): State<Arc<App>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.openapi.clone()).into_response()
}

async fn not_found(request: Request) -> Problem {
    let path = short(request.uri().path());
    Problem::new(
        StatusCode::NOT_FOUND,
        "path",
        format!("the paths are /, /predict, /health, /metrics and /openapi.json, found {path:?}"),
    )
}

async fn wrong_method(request: Request) -> Problem {
    let path = request.uri().path();
    let wanted = if path == "/predict" { "POST" } else { "GET" };
    let found = short(request.method().as_str());
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        format!("{path} requires {wanted}, found {found}"),
    )
}

/// Truncates a text that comes from a client.
fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

async fn predict(
    State(app): State<Arc<App>>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(options) = options.map_err(|error| {
        let error = short(&error.body_text());
        Problem::bad(
            "query",
            format!(
                "the query parameters are prepared=1, prepare=raw|digit|resize|crop|letterbox and raw=1, found: {error}"
            ),
        )
    })?;
    let preparation = options.preparation(app.model.preparation)?;
    let input = app.model.takes();
    let kind = Kind::of(request.headers(), input)?;
    let body = app.bodies.read(request.into_body()).await?;
    let answer = timeout(app.limits.answer, async {
        let wanted = PredictOptions { input, shape: app.model.input.clone(), preparation };
        let Samples { features, single } = app.samples(kind, body, wanted).await?;
        let shown = match options.prepared {
            Switch::On => features.as_pixels().map(<[u8]>::to_vec),
            Switch::Off => None,
        };
        let predictions = app.predictor.predict(features).await?;
        let by_name =
            |prediction| app.model.output.by_name(prediction, app.model.names.all().len());
        let predictions: Vec<_> = predictions.into_iter().map(by_name).collect();
        check_finite(&predictions, single)?;
        Ok(app.answer(&predictions, shown.as_deref(), single))
    });
    answer.await.unwrap_or_else(|_| {
        let seconds = app.limits.answer.as_secs_f64();
        let rule =
            format!("a prediction may take at most {seconds} seconds, found one that takes longer");
        Err(Problem::busy(format!("{rule}: try again in a moment")))
    })
}

impl App {
    async fn samples(
        &self,
        kind: Kind,
        body: super::request_body::Read,
        to: PredictOptions,
    ) -> Result<Samples, Problem> {
        // Pictures and long lists are decoded on blocking threads.
        let begins = |key: &[u8]| body.bytes.starts_with(key);
        let is_array = kind == Kind::Json && (begins(b"{\"pixels\"") || begins(b"{\"inputs\""));
        if is_array && body.bytes.len() <= SMALL {
            return Samples::read(&body.bytes, kind, &to, &self.limits);
        }
        let limits = self.limits.clone();
        // The body moves into the closure with its part of the memory budget, even if the client is gone.
        let work = move || Samples::read(&body.bytes, kind, &to, &limits);
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(Problem::own("a body could not be read: this is a bug")))
    }

    fn answer(&self, predictions: &[Vec<f32>], shown: Option<&[u8]>, single: bool) -> Response {
        let image = self.model.input.iter().product();
        let mut shown = shown.map(|pixels| pixels.chunks_exact(image));
        let mut predictions = predictions.iter().map(|prediction| {
            let image = shown.as_mut().and_then(Iterator::next);
            let prepared = image.map(|image| self.rows(image));
            Prediction { predicted: self.predicted(prediction), prepared }
        });
        match single {
            true => json(&predictions.next()).into_response(),
            false => json(&Predictions { predictions: predictions.collect() }).into_response(),
        }
    }

    fn rows<'a>(&self, pixels: &'a [u8]) -> Image<'a> {
        let rows = |width: usize, plane: &'a [u8]| plane.chunks_exact(width).collect();
        match self.model.input[..] {
            [_, height, width] => {
                let planes = pixels.chunks_exact(height * width);
                Image::Planes(planes.map(|plane| rows(width, plane)).collect())
            }
            _ => Image::Gray(rows(self.model.input.last().map_or(1, |&width| width), pixels)),
        }
    }

    fn predicted<'a>(&'a self, values: &'a [f32]) -> Predicted<'a> {
        match &self.model.names {
            Names::Classes(names) => {
                let class = likeliest(values);
                let label = names.get(class).map_or("", String::as_str);
                Predicted::Class { class, label, probabilities: values }
            }
            Names::Labels(names) => {
                let labels = names.iter().zip(values).filter(|(_, value)| **value > THRESHOLD);
                Predicted::Labels {
                    labels: labels.map(|(name, _)| name.as_str()).collect(),
                    probabilities: ByName { names, values },
                    threshold: THRESHOLD,
                }
            }
            Names::Numbers(names) => Predicted::Numbers { values: ByName { names, values } },
        }
    }
}

/// Checks that the predictions can be written as JSON, which has no infinity and no NaN.
fn check_finite(predictions: &[Vec<f32>], single: bool) -> Result<(), Problem> {
    for (index, prediction) in predictions.iter().enumerate() {
        if let Some(found) = prediction.iter().find(|value| !value.is_finite()) {
            let problem = Problem::bad(
                "prediction",
                format!(
                    "a prediction must be finite, found {found}: the inputs are far outside those of the training data"
                ),
            );
            return Err(if single { problem } else { problem.at(index) });
        }
    }
    Ok(())
}

/// Returns the index of the highest probability, the first one if there are several.
fn likeliest(probabilities: &[f32]) -> usize {
    let mut best = 0;
    for (class, probability) in probabilities.iter().enumerate() {
        if *probability > probabilities[best] {
            best = class;
        }
    }
    best
}
