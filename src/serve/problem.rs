//! What a client did wrong, or the server could not do, as JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::api;

/// `{"error": {"rule": …, "message": …}}` with a status of 4xx or 5xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: Told,
    #[serde(skip)]
    retry: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Told {
    /// A word for programs.
    rule: &'static str,
    /// For people: the rule, what was found, the cure.
    message: String,
    /// Which image of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

impl Problem {
    /// The client's.
    pub fn new(status: StatusCode, rule: &'static str, message: impl Into<String>) -> Self {
        Self { status, error: Told { rule, message: message.into(), index: None }, retry: false }
    }

    /// 400.
    pub fn bad(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, rule, message)
    }

    /// 503: the same request may succeed later.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { retry: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message) }
    }

    /// 500.
    pub fn own(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server", message)
    }

    /// In image `index` of a batch.
    pub fn at(mut self, index: usize) -> Self {
        self.error.index = Some(index);
        self
    }

    /// For people.
    pub fn message(&self) -> &str {
        &self.error.message
    }

    /// For programs.
    #[cfg(test)]
    pub fn kind(&self) -> (StatusCode, &'static str) {
        (self.status, self.error.rule)
    }

    /// Which image of a batch.
    #[cfg(test)]
    pub fn index(&self) -> Option<usize> {
        self.error.index
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, api::json(&self)).into_response();
        if self.retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
