//! Callbacks, as in Keras: they watch a training run and may steer or end it.
//!
//! The loop computes and reports. Code that wants to draw, write, slow down or stop implements
//! [`Callback`]. The callbacks that Keras users know are in separate files below this one.

mod csv_logger;
mod each_epoch;
mod early_stopping;
mod reduce_lr;
mod terminate_on_nan;
#[cfg(test)]
pub(super) mod test_support;

use std::sync::Arc;

pub use csv_logger::CsvLogger;
pub use each_epoch::{EachEpoch, each_epoch};
pub use early_stopping::{EarlyStopping, EarlyStoppingConfig};
pub use reduce_lr::{ReduceLrConfig, ReduceLrOnPlateau};
pub use terminate_on_nan::TerminateOnNan;

pub use super::callback_error::CallbackError;
use super::history::{EpochRecord, History};
use super::snapshot::{CallbackState, Snapshot};
use super::step::Step;
use crate::config_error::ConfigError;
use crate::data::TargetKind;
use crate::metrics::Metric;
use crate::model::{Sequential, WeightsError};
use crate::native::LibtorchError;
use crate::tensors::Tensors;

/// How the training proceeds after a callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// It continues.
    #[default]
    Continue,
    /// It ends here cleanly, like Keras's `stop_training`: it has done what it should.
    Stop,
    /// It ends after this batch and can be resumed: a snapshot is taken, and no unfinished epoch is
    /// recorded.
    Interrupt,
}

/// How a training run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All epochs were trained.
    Complete,
    /// A callback stopped it.
    Stopped,
    /// A callback interrupted it; it can be resumed.
    Interrupted,
}

/// The plan of a training, passed to callbacks before the first epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Epochs to train, including those before a resume.
    pub epochs: usize,
    /// Batches per epoch, including the last partial one.
    pub batches: usize,
    /// Training samples.
    pub samples: usize,
    /// Validation samples, 0 without validation.
    pub validation_samples: usize,
    /// The kind of the targets.
    pub targets: TargetKind,
    /// The metrics of the validation set, besides its loss and accuracy.
    pub metrics: Vec<Metric>,
}

/// A batch's position. It carries neither loss nor accuracy: reading them back would stop the device at
/// every step. [`Training::mean_loss`] reads the loss for callbacks that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The batch in its epoch, from 1.
    pub batch: usize,
    /// Samples in it.
    pub samples: usize,
}

/// A rollback: the numbers were no longer finite, and the epoch begins again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rollback {
    /// The epoch that begins again, from 1.
    pub epoch: usize,
    /// The batch of the first loss that was not finite, from 1, if it was a loss.
    pub batch: Option<usize>,
    /// The learning rate from here on.
    pub learning_rate: f64,
    /// The number of rollbacks so far, including this one.
    pub rollbacks: u32,
}

/// The event that a snapshot may be taken after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotTrigger {
    /// After a batch.
    Batch,
    /// After an epoch, its validation and every callback's `on_epoch_end`.
    Epoch,
}

/// The training as a callback sees and steers it.
pub struct Training<'a, 'm> {
    step: &'a mut Step<'m>,
    history: &'a History,
}

impl<'a, 'm> Training<'a, 'm> {
    pub(super) fn new(step: &'a mut Step<'m>, history: &'a History) -> Self {
        Self { step, history }
    }

    /// Returns the network; in `on_epoch_end` and `on_train_end` with the moving average of the weights,
    /// if training keeps one.
    ///
    /// # Errors
    /// libtorch's errors, such as too little memory.
    pub fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        self.step.model()
    }

    /// Returns the finished epochs; in `on_epoch_end` without the one that has just ended.
    pub fn history(&self) -> &History {
        self.history
    }

    /// Returns the optimizer's learning rate, which a schedule scales.
    pub fn learning_rate(&self) -> f64 {
        self.step.learning_rate()
    }

    /// Changes the optimizer's learning rate from the next step on.
    ///
    /// # Errors
    /// A rate that is not above 0 and finite.
    pub fn set_learning_rate(&mut self, learning_rate: f64) -> Result<(), ConfigError> {
        ConfigError::above_0("learning rate", learning_rate)?;
        self.step.set_learning_rate(learning_rate);
        Ok(())
    }

    /// Returns the mean loss of the current epoch's batches so far, in nats. This waits for the device.
    ///
    /// # Errors
    /// libtorch's errors.
    pub fn mean_loss(&mut self) -> Result<f64, LibtorchError> {
        let sums = self.step.sums()?;
        Ok(sums.loss / sums.samples as f64)
    }

    /// Replaces the network's parameters; in `on_train_end` those that training ends with.
    ///
    /// # Errors
    /// Tensors that are not the network's.
    pub fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.step.set_weights(weights)
    }
}

/// A watcher of a training run. Every method has a default that does nothing; an error ends the training
/// and is returned.
///
/// ```
/// use seqfit::callback::{Callback, CallbackError, Flow, Training};
/// use seqfit::EpochRecord;
///
/// /// Ends the training once it is good enough.
/// struct GoodEnough(f64);
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(
///         &mut self,
///         _: &mut Training,
///         record: &EpochRecord,
///     ) -> Result<Flow, CallbackError> {
///         Ok(if record.accuracy >= Some(self.0) { Flow::Stop } else { Flow::Continue })
///     }
/// }
/// ```
#[expect(unused_variables, reason = "the defaults ignore their arguments")]
pub trait Callback {
    /// Called before the first epoch. When a run resumes from a snapshot, `training` is where the
    /// snapshot was, and [`restore`](Self::restore) comes next.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_train_begin(
        &mut self,
        training: &mut Training,
        plan: &Plan,
    ) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Called before an epoch's first batch; `epoch` counts from 1. This is called for an epoch that is
    /// resumed in its middle, too.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_epoch_begin(&mut self, epoch: usize) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Called before a batch's step.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_batch_begin(&mut self, batch: &BatchInfo) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Called after a batch's step, which a GPU may still be computing. [`Flow::Stop`] ends the epoch
    /// here, and its record covers the batches so far.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_batch_end(
        &mut self,
        training: &mut Training,
        batch: &BatchInfo,
    ) -> Result<Flow, CallbackError> {
        Ok(Flow::Continue)
    }

    /// Called after an epoch and its validation.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_epoch_end(
        &mut self,
        training: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        Ok(Flow::Continue)
    }

    /// Called after the numbers were no longer finite and the state of the epoch's beginning is restored
    /// ([`OnNan::Rollback`](crate::OnNan::Rollback)); the snapshot of it comes next, if a callback wants
    /// one.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_rollback(&mut self, rollback: &Rollback) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Called with a note that the user should see and that ends nothing: for example that CUDA graphs
    /// cannot be recorded.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_notice(&mut self, notice: &str) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Called after the last epoch, no matter what ended the training, but not after an error. A snapshot to
    /// resume from has been passed to `on_snapshot` before.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_train_end(
        &mut self,
        training: &mut Training,
        ending: Ending,
    ) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Returns whether [`on_snapshot`](Self::on_snapshot) should get a snapshot of the current state.
    /// Called after every batch and every epoch. Taking a snapshot waits for the device.
    fn wants_snapshot(&mut self, moment: SnapshotTrigger) -> bool {
        false
    }

    /// Called with a snapshot that some callback wanted, or that was taken at an interruption.
    ///
    /// # Errors
    /// The callback's own error.
    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Returns the name of its state in snapshots; `None` for callbacks without state that a resumed run
    /// would miss. Of several callbacks with the same key in one run, the later ones get a number
    /// appended.
    fn key(&self) -> Option<&'static str> {
        None
    }

    /// Returns its state, if it has a key.
    ///
    /// # Errors
    /// The callback's own error.
    fn state(&self) -> Result<CallbackState, CallbackError> {
        Ok(CallbackState::default())
    }

    /// Restores what [`state`](Self::state) returned, if it has a key; `training` is where it was then.
    ///
    /// # Errors
    /// A state that belongs to another callback, or that cannot be of this training.
    fn restore(
        &mut self,
        training: &mut Training,
        state: &CallbackState,
    ) -> Result<(), CallbackError> {
        Ok(())
    }
}
