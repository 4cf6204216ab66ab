//! The rules for a snapshot to resume from: its position, its numbers, its tensors.

use super::Session;
use crate::train::config::OnNan;
use crate::train::error::SnapshotError;
use crate::train::snapshot::{Snapshot, State};

impl Session<'_, '_, '_> {
    /// Checks a snapshot from elsewhere: its position, its tensors, and those of its rollback point.
    /// Nothing is changed.
    pub(super) fn check(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        self.check_state(&snapshot.state)?;
        self.step.check(snapshot).map_err(SnapshotError::Weights)?;
        let Some(rollback_point) = &snapshot.rollback_point else { return Ok(()) };
        let begins =
            rollback_point.state.batch == 0 && rollback_point.state.epoch == snapshot.state.epoch;
        match begins && rollback_point.rollback_point.is_none() && !rollback_point.state.stopped {
            true => self.check(rollback_point),
            false => Err(SnapshotError::State("a rollback goes back to the epoch's beginning")),
        }
    }

    fn check_state(&self, state: &State) -> Result<(), SnapshotError> {
        let State {
            epoch,
            batch,
            step,
            learning_rate,
            rollbacks,
            stopped,
            sums,
            epoch_seconds,
            seconds,
            history,
        } = state;
        let (batches, size) = (self.plan.batches, self.config.batch_size);
        let seen = batch.checked_mul(size).map(|seen| seen.min(self.plan.samples));
        let steps = epoch.checked_mul(batches).and_then(|steps| steps.checked_add(*batch));
        let numbered = (1..).zip(&history.epochs).all(|(number, record)| record.epoch == number);
        let rules = [
            (*batch <= batches, "an epoch has fewer batches"),
            (
                history.epochs.len() == *epoch && numbered,
                "the history must have one line per epoch",
            ),
            (Some(sums.samples) == seen, "the samples must be those of the batches"),
            // A stopped run may have left an epoch early.
            (
                *stopped || steps.map(|n| n as u64) == Some(*step),
                "the steps must be those of the batches",
            ),
            (
                *learning_rate > 0.0 && learning_rate.is_finite(),
                "the learning rate must be above 0",
            ),
            (sums.loss.is_finite(), "the loss must be finite"),
            (*rollbacks <= OnNan::ROLLBACKS, "there are at most 3 rollbacks"),
            (
                [*epoch_seconds, *seconds].iter().all(|time| *time >= 0.0 && time.is_finite()),
                "times must be at least 0",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(SnapshotError::State(rule)),
            None => Ok(()),
        }
    }
}
