//! Ends the training at the first loss that is not finite.

use super::{BatchInfo, Callback, CallbackError, Flow, Training};
use crate::train::history::EpochRecord;

/// Stops without an error after the first batch whose loss is NaN or infinite, like Keras's
/// `TerminateOnNaN`. It reads the loss back after every batch, which waits for a GPU.
///
/// By default `fit` ends with an error there, before any callback is called; this is for trainings with
/// [`OnNan::Ignore`](crate::OnNan::Ignore).
#[derive(Clone, Debug, Default)]
pub struct TerminateOnNan {
    at: Option<(usize, Option<usize>)>,
}

impl TerminateOnNan {
    /// Returns the epoch and, if it was detected after a batch, the batch at which it ended the training,
    /// both from 1.
    pub fn at(&self) -> Option<(usize, Option<usize>)> {
        self.at
    }
}

impl Callback for TerminateOnNan {
    fn on_batch_end(
        &mut self,
        training: &mut Training,
        batch: &BatchInfo,
    ) -> Result<Flow, CallbackError> {
        if training.mean_loss()?.is_finite() {
            return Ok(Flow::Continue);
        }
        self.at = Some((batch.epoch, Some(batch.batch)));
        Ok(Flow::Stop)
    }

    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        if [Some(record.loss), record.val_loss].into_iter().flatten().all(f64::is_finite) {
            return Ok(Flow::Continue);
        }
        self.at.get_or_insert((record.epoch, None));
        Ok(Flow::Stop)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{tell, with_training};
    use super::*;

    #[test]
    fn it_stops_at_the_first_loss_that_is_not_finite() {
        for (losses, stop) in [
            (&[1.0, 0.5, f64::NAN, 0.5][..], Some(3)),
            (&[f64::INFINITY, 0.5], Some(1)),
            (&[1.0, f64::NEG_INFINITY], Some(2)),
            (&[1.0, 1e300], None),
        ] {
            let mut callback = TerminateOnNan::default();
            let stopped = with_training(|training| tell(&mut callback, training, 1, losses));
            assert_eq!(stopped, stop, "{losses:?}");
            assert_eq!(callback.at(), stop.map(|epoch| (epoch, None)));
        }
    }
}
