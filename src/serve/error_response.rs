//! Errors of clients and of the server as JSON responses.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error response `{"error": {"rule": …, "message": …}}` with a status of 4xx or 5xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: ErrorBody,
    #[serde(skip)]
    retry: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ErrorBody {
    /// The kind of error, for programs.
    rule: &'static str,
    /// For people: the rule, the value found, the cure.
    message: String,
    /// Index of the image in a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
}

impl Problem {
    /// Creates an error with any status.
    pub fn new(status: StatusCode, rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            error: ErrorBody { rule, message: message.into(), index: None },
            retry: false,
        }
    }

    /// Creates a 400 Bad Request.
    pub fn bad(rule: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, rule, message)
    }

    /// Creates a 503 Service Unavailable: the same request may succeed later.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { retry: true, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message) }
    }

    /// Creates a 500 Internal Server Error.
    pub fn own(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server", message)
    }

    /// Sets the index of the image in a batch.
    pub fn at(mut self, index: usize) -> Self {
        self.error.index = Some(index);
        self
    }

    /// Returns the message for people.
    pub fn message(&self) -> &str {
        &self.error.message
    }

    /// Returns the status and the kind of error.
    #[cfg(test)]
    pub fn kind(&self) -> (StatusCode, &'static str) {
        (self.status, self.error.rule)
    }

    /// Returns the index of the image in a batch.
    #[cfg(test)]
    pub fn index(&self) -> Option<usize> {
        self.error.index
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, json(&self)).into_response();
        if self.retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Returns a JSON body with its content type.
pub fn json(value: &impl Serialize) -> ([(HeaderName, &'static str); 1], Vec<u8>) {
    // This fails only for maps whose keys are not strings, which no type here has.
    let body = serde_json::to_vec(value).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], body)
}
