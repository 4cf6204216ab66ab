//! What watches a training run and may end it: Keras's callbacks.
//!
//! The loop computes and tells; whoever wants to draw, write or stop listens here.

use std::ops::ControlFlow;

use super::history::{EpochRecord, History};
use crate::model::Sequential;

/// `Continue(())` goes on, `Break(())` ends the training in good order.
pub type Flow = ControlFlow<()>;

/// An error of a callback's own; it ends the training.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;

/// What is about to happen, told before the first epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Epochs to train.
    pub epochs: usize,
    /// Batches an epoch, the last partial one included.
    pub batches: usize,
    /// Training samples.
    pub samples: usize,
    /// Validation samples, 0 without validation.
    pub validation_samples: usize,
}

/// A batch's place. Neither its loss nor its accuracy is here: reading them back would stop the
/// device at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// The epoch, from 1.
    pub epoch: usize,
    /// The batch in its epoch, from 1.
    pub batch: usize,
    /// Samples in it.
    pub samples: usize,
}

/// Something that watches a training run. Every method has a default that does nothing; an error
/// ends the training and is handed on.
///
/// ```
/// use std::ops::ControlFlow;
/// use seqfit::callback::{Callback, CallbackError, Flow};
/// use seqfit::{EpochRecord, Sequential};
///
/// /// Ends the training once it is good enough.
/// struct GoodEnough(f64);
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(&mut self, _: &Sequential, e: &EpochRecord) -> Result<Flow, CallbackError> {
///         Ok(if e.accuracy >= self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
///     }
/// }
/// ```
#[expect(unused_variables, reason = "the defaults ignore what they are told")]
pub trait Callback {
    /// Before the first epoch.
    ///
    /// # Errors
    /// The callback's own.
    fn on_train_begin(&mut self, plan: &Plan) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Before an epoch's first batch; `epoch` counts from 1.
    ///
    /// # Errors
    /// The callback's own.
    fn on_epoch_begin(&mut self, epoch: usize) -> Result<(), CallbackError> {
        Ok(())
    }

    /// Before a batch's step.
    ///
    /// # Errors
    /// The callback's own.
    fn on_batch_begin(&mut self, batch: &BatchInfo) -> Result<(), CallbackError> {
        Ok(())
    }

    /// After a batch's step, which a GPU may still be computing. `Break` ends the epoch here, and
    /// its record covers the batches so far.
    ///
    /// # Errors
    /// The callback's own.
    fn on_batch_end(&mut self, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        Ok(Flow::Continue(()))
    }

    /// After an epoch and its validation. `Break` ends the training.
    ///
    /// # Errors
    /// The callback's own.
    fn on_epoch_end(
        &mut self,
        model: &Sequential,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        Ok(Flow::Continue(()))
    }

    /// After the last epoch, whoever ended it; not after an error.
    ///
    /// # Errors
    /// The callback's own.
    fn on_train_end(&mut self, model: &Sequential, history: &History) -> Result<(), CallbackError> {
        Ok(())
    }
}
