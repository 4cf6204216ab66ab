//! Errors of a training run.

use super::callback_error::CallbackError;
use crate::config_error::ConfigError;
use crate::data::batches::DataLoaderError;
use crate::data::{DataError, Dataset, UnscaledFeatures};
use crate::evaluate::EvaluateError;
use crate::group::GroupError;
use crate::losses::LossError;
use crate::metrics::MetricError;
use crate::model::{ModelError, WeightsError};
use crate::native::LibtorchError;

/// The reason a training run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A setting breaks its rule.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data cannot be split as asked, or a streamed data set can no longer be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Data and network do not match.
    #[error(transparent)]
    Mismatch(#[from] EvaluateError),
    /// The loss does not take the data's targets, or not from this network.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// A metric cannot be computed as asked.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The forward pass failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The numbers are no longer finite.
    #[error(
        "training diverged in epoch {epoch}{at}: the {what} must be finite, found {found}{after}: {scale}use \
         a lower learning rate than {learning_rate:?}",
        at = .batch.map(|batch| format!(", batch {batch}")).unwrap_or_default(),
        after = match .rollbacks { 0 => String::new(), n => format!(" after {n} rollbacks") },
        scale = match .unscaled { None => String::new(), Some(why) => format!("{}, or ", why.advice()) },
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The batch, from 1, if it was the loss of one.
        batch: Option<usize>,
        /// "loss", "mean loss", "validation loss", "weights" or "optimizer state".
        what: &'static str,
        /// NaN or an infinity.
        found: f64,
        /// The optimizer's learning rate.
        learning_rate: f64,
        /// The number of rollbacks that had halved it.
        rollbacks: u32,
        /// The training data's features that are not scaled, the usual cause.
        unscaled: Option<Box<UnscaledFeatures>>,
    },
    /// There is too little memory.
    #[error(
        "training with a batch size of {batch_size} does not fit into the memory of {device} \
         ({source})"
    )]
    Memory {
        /// Samples per step.
        batch_size: usize,
        /// The device's name.
        device: String,
        /// libtorch's error.
        source: LibtorchError,
    },
    /// Training cannot resume from a snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A callback failed.
    #[error("a callback failed: {0}")]
    Callback(#[source] CallbackError),
    /// A call into libtorch failed.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
    /// The ranks cannot continue together.
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl From<DataLoaderError> for TrainError {
    fn from(error: DataLoaderError) -> Self {
        match error {
            DataLoaderError::Data(error) => error.into(),
            DataLoaderError::Libtorch(error) => error.into(),
        }
    }
}

/// The reason training cannot resume from a snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// Its tensors are not those of the network and its optimizer.
    #[error("the snapshot is of another network or optimizer: {0}")]
    Weights(#[source] WeightsError),
    /// Its position does not exist in this training.
    #[error("the snapshot is of another training: {0}")]
    State(&'static str),
    /// Its callbacks are not those of this training.
    #[error(
        "the snapshot must hold the state of the callbacks {expected:?}, found {found:?}: resume with \
         the callbacks that the run began with"
    )]
    Callbacks {
        /// The keys of the callbacks that were given.
        expected: Vec<String>,
        /// Those in the snapshot.
        found: Vec<String>,
    },
    /// A callback cannot read its state.
    #[error("the snapshot's state of {key} cannot be read: {source}")]
    Callback {
        /// The callback's key.
        key: String,
        /// The callback's own error.
        source: CallbackError,
    },
}

impl TrainError {
    /// Adds the cause to an error of numbers that are no longer finite: features of the training data.
    pub(super) fn with_scale_of(mut self, train: &Dataset) -> Self {
        if let Self::Diverged { unscaled, .. } = &mut self {
            *unscaled = train.unscaled_features().map(Box::new);
        }
        self
    }

    /// Turns an out-of-memory error, wherever it occurred, into one that names what the user can change.
    pub(super) fn into_oom_error(self, batch_size: usize, device: String) -> Self {
        let shortage = match &self {
            Self::Libtorch(error)
            | Self::Model(ModelError::Libtorch(error))
            | Self::Mismatch(
                EvaluateError::Libtorch(error) | EvaluateError::Model(ModelError::Libtorch(error)),
            ) => Some(error),
            Self::Snapshot(SnapshotError::Weights(WeightsError::Libtorch(error))) => Some(error),
            Self::Callback(error) => match error.downcast_ref() {
                Some(WeightsError::Libtorch(error)) => Some(error),
                _ => error.downcast_ref(),
            },
            _ => None,
        };
        match shortage.filter(|error| error.is_out_of_memory()).cloned() {
            Some(source) => Self::Memory { batch_size, device, source },
            None => self,
        }
    }
}
