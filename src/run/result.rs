//! `result.json`: what a run ends with.

use serde::{Deserialize, Serialize};

use crate::evaluate::Figures;
use crate::train::EpochRecord;

/// What a run ends with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Figures on the test set.
    pub test: Figures,
    /// The last epoch.
    pub last_epoch: Option<EpochRecord>,
    /// Epochs trained.
    pub epochs: usize,
    /// Batches of the next epoch, where training ended within one.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub batch: usize,
    /// Wall-clock seconds of all epochs, validation included.
    pub seconds: f64,
    /// The epoch whose weights these are, where it is not the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restored_epoch: Option<usize>,
    /// Why training ended before the epochs that were asked for: "early stopping in epoch 7".
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_by: Option<String>,
}

fn is_zero(batch: &usize) -> bool {
    *batch == 0
}
