//! The whole state of a training run between two batches: what a resume needs, and nothing that can be
//! derived.
//!
//! Random streams are not in it: each is drawn from (seed, purpose, position), see `rng.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::history::History;
use crate::tensors::Tensors;

/// A training run between two batches. Training that resumes from it ends with the same weights as
/// training that was never interrupted, bit for bit on the CPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Where the run is.
    pub state: State,
    /// The parameters and buffers, by their names.
    pub weights: Tensors,
    /// The moving average of the parameters, if training keeps one.
    pub average: Tensors,
    /// The optimizer state, by the parameters' names: m and v of Adam; b of SGD; v and b of RMSprop. A
    /// list that the optimizer does not need is empty.
    pub moments: [Tensors; 2],
    /// The states of callbacks, by their keys.
    pub callbacks: BTreeMap<String, CallbackState>,
    /// Within an epoch, the state that a rollback goes back to: the one at the epoch's beginning.
    pub rollback_point: Option<Arc<Snapshot>>,
}

/// Where a training run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Finished epochs.
    pub epoch: usize,
    /// Finished batches of the next epoch.
    pub batch: usize,
    /// Steps taken over all epochs.
    pub step: u64,
    /// The learning rate of the next step.
    pub learning_rate: f64,
    /// The number of rollbacks that halved the learning rate.
    pub rollbacks: u32,
    /// Whether a callback has ended the training: then there is nothing to resume.
    pub stopped: bool,
    /// Sums over the batches of the unfinished epoch.
    pub sums: Sums,
    /// Wall-clock time of these batches, in seconds.
    pub epoch_seconds: f64,
    /// Wall-clock time of the whole training, in seconds.
    pub seconds: f64,
    /// The finished epochs.
    pub history: History,
}

/// Sums over the samples of an epoch's batches so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Sum of the losses, in nats.
    pub loss: f64,
    /// Correct predictions.
    pub correct: i64,
    /// Samples.
    pub samples: usize,
}

/// The state that a callback keeps between epochs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallbackState {
    /// Its numbers.
    pub value: serde_json::Value,
    /// Its tensors, such as the best weights so far.
    pub tensors: Tensors,
}

impl Snapshot {
    /// Returns "epoch 3" or "epoch 3 after batch 120", counted from 1: where training resumes.
    pub fn place(&self) -> String {
        let State { epoch, batch, .. } = self.state;
        // A crafted snapshot may hold any count.
        let epoch = epoch.saturating_add(1);
        match batch {
            0 => format!("epoch {epoch}"),
            _ => format!("epoch {epoch} after batch {batch}"),
        }
    }

    /// Returns the weights that training would end with here: their moving average, if there is one, with the
    /// buffers of the network, as PyTorch's `AveragedModel` has them.
    pub(crate) fn best_weights(&self) -> Tensors {
        let mut weights = self.weights.clone();
        weights.extend(self.average.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
        weights
    }
}
