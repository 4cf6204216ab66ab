//! `result.json`: the final result of a run.

use serde::{Deserialize, Serialize};

use crate::evaluate::Figures;
use crate::train::EpochRecord;

/// The final result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Metrics on the test set.
    pub test: Figures,
    /// The last epoch.
    pub last_epoch: Option<EpochRecord>,
    /// The number of epochs trained.
    pub epochs: usize,
    /// The number of batches of the next epoch, if training ended within one.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub batch: usize,
    /// Wall-clock seconds of all epochs, including validation.
    pub seconds: f64,
    /// The epoch that the weights come from, if it is not the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restored_epoch: Option<usize>,
    /// Why training ended before the requested number of epochs: "early stopping in epoch 7".
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended_by: Option<String>,
}

fn is_zero(batch: &usize) -> bool {
    *batch == 0
}
