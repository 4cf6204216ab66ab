//! What the steps minimize: the loss of a training, ready for the engines.

use std::sync::Arc;

use tch::Tensor;

use crate::data::TargetKind;
use crate::data::batches::Batch;
use crate::losses::{Correct, LossKind};
use crate::native::LibtorchError;
use crate::train::config::FitConfig;

/// The loss of a training with its label smoothing, and the rule for correct predictions.
#[derive(Clone, Debug)]
pub(in crate::train) struct Objective {
    pub loss: Arc<dyn LossKind>,
    pub correct: Correct,
}

impl Objective {
    /// Returns the objective of a training on targets of this kind, for a network of this many outputs.
    pub fn new(config: &FitConfig, targets: TargetKind, outputs: usize) -> Self {
        let loss = config.loss.kind();
        let loss = match config.label_smoothing {
            0.0 => loss,
            // The config was checked: a loss without smoothing has none.
            smoothing => loss.smoothed(smoothing).map_or(loss, Arc::from),
        };
        let correct = Correct::of(&*loss, targets, outputs);
        Self { loss, correct }
    }

    /// Returns the mean loss of a batch, recorded for autograd.
    pub fn mean(&self, outputs: &Tensor, batch: &Batch) -> Result<Tensor, LibtorchError> {
        self.loss.mean(outputs, &batch.targets)
    }
}
