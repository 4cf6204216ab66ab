//! Keras's networks: the description in a `.keras` file and in the `model_config` of a `.h5`, and the
//! weights that belong to it.

mod chain;
mod config;
mod weights;

use serde_json::Value;

use super::Imported;
use super::archive::Archive;
use super::error::Problem;
use super::format::Format;
use super::hdf5;
use super::memory_budget::MemoryBudget;

pub(super) use weights::{Attributes, Layout, describe};

/// The record of the weights.
pub(super) const WEIGHTS: &str = "model.weights.h5";
/// The record of the description.
const CONFIG: &str = "config.json";

/// Reads a `.keras` file. A description of an unsupported network is not an error yet: the weights can
/// still be listed.
pub(super) fn read(bytes: &[u8]) -> Result<Imported, Problem> {
    let mut archive = Archive::open(bytes)?;
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::PACKED);
    let mut config = None;
    if archive.has(CONFIG) {
        let text = archive.read(CONFIG, &mut budget)?;
        config = Some(parsed(&text, ".keras", CONFIG)?);
    }
    let weights = archive.read(WEIGHTS, &mut budget)?;
    let imported = hdf5::read(weights, config)?;
    Ok(Imported { format: Format::Keras, ..imported })
}

/// Parses a description as JSON.
pub(super) fn parsed(text: &[u8], format: &'static str, place: &str) -> Result<Value, Problem> {
    serde_json::from_slice(text)
        .map_err(|error| Problem::Damaged { format, message: format!("{place}: {error}") })
}

/// Formats a value of a description for a message.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().take(60).collect(),
        Value::Null => "none".to_owned(),
        other => other.to_string().chars().take(60).collect(),
    }
}
