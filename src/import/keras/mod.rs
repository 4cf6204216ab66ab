//! Keras's networks: the description in a `.keras` file and in the `model_config` of a `.h5`, and the
//! weights that belong to it.

mod config;
mod description;
pub(super) mod hdf5;
mod layer_chain;
mod pictures;
mod places;
mod weights;

use super::Imported;
use super::detect_format::{Format, KERAS_WEIGHTS};
use super::error::Problem;
use crate::formats::Archive;
use crate::formats::MemoryBudget;

use description::parsed;

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
    let weights = archive.read(KERAS_WEIGHTS, &mut budget)?;
    let imported = hdf5::read(weights, config)?;
    Ok(Imported { format: Format::Keras, ..imported })
}
