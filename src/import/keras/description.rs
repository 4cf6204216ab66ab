//! Descriptions of networks as JSON: their parsing, and their values in messages.

use serde_json::Value;

use crate::import::error::Problem;

/// Parses a description as JSON.
pub(super) fn parsed(text: &[u8], format: &'static str, place: &str) -> Result<Value, Problem> {
    serde_json::from_slice(text)
        .map_err(|error| Problem::Damaged { format, message: format!("{place}: {error}") })
}

/// Formats a value of a description for a message.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().take(60).collect(),
        Value::Null => "none".to_owned(),
        other => other.to_string().chars().take(60).collect(),
    }
}
