//! Snapshots of a training run: taken, restored, and gone back to when numbers are not finite.

use std::sync::Arc;
use std::time::Instant;

use super::Session;
use crate::f32_range::first_not_finite;
use crate::train::callback::{Rollback, SnapshotTrigger};
use crate::train::config::OnNan;
use crate::train::error::{SnapshotError, TrainError};
use crate::train::snapshot::{Snapshot, State};

impl Session<'_, '_, '_> {
    /// Returns a snapshot of the current state; none if it is not finite and the config ignores that.
    pub(super) fn snapshot(&mut self) -> Result<Option<Arc<Snapshot>>, TrainError> {
        let sums = self.step.sums()?;
        self.finite(sums.loss, "mean loss", None)?;
        let (weights, average, moments) = self.step.tensors()?;
        let snapshot = Snapshot {
            state: State {
                step: self.step.steps(),
                learning_rate: self.step.learning_rate(),
                sums,
                seconds: self.seconds(),
                ..self.state.clone()
            },
            weights,
            average,
            moments,
            callbacks: self.callbacks.states()?,
            rollback_point: if self.state.batch > 0 { self.rollback_point.clone() } else { None },
        };
        let mut finite = sums.loss.is_finite();
        for (what, tensors) in [
            ("weights", &snapshot.weights),
            ("weights' average", &snapshot.average),
            ("optimizer state", &snapshot.moments[0]),
            ("optimizer state", &snapshot.moments[1]),
        ] {
            let mut found = tensors.values().filter_map(|tensor| {
                first_not_finite(&tensor.values).map(|position| tensor.values[position])
            });
            if let Some(found) = found.next() {
                self.finite(f64::from(found), what, None)?;
                finite = false;
            }
        }
        Ok(finite.then(|| Arc::new(snapshot)))
    }

    /// Moves back or forward to where `snapshot` was, without calling the callbacks.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        let state = &snapshot.state;
        self.step.restore(snapshot).map_err(SnapshotError::Weights)?;
        self.step.set_sums(state.sums)?;
        let seconds = self.seconds().max(state.seconds);
        self.state = state.clone();
        self.started = (seconds, Instant::now());
        Ok(())
    }

    pub(super) fn restore_callbacks(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        // A defect in the rollback point must not show up only when a rollback happens.
        if let Some(rollback_point) = &snapshot.rollback_point {
            self.restore_callbacks(rollback_point)?;
        }
        self.callbacks.restore(&mut self.step, &snapshot.state, &snapshot.callbacks)
    }

    /// Goes back to the epoch's beginning with half the learning rate, if the error is that numbers were
    /// not finite and the config allows it; otherwise returns the error.
    pub(super) fn roll_back(&mut self, error: TrainError) -> Result<(), TrainError> {
        let (&TrainError::Diverged { batch, .. }, Some(rollback_point)) =
            (&error, &self.rollback_point)
        else {
            return Err(error);
        };
        if rollback_point.state.rollbacks >= OnNan::ROLLBACKS {
            return Err(error);
        }
        let mut rollback_point = Snapshot::clone(rollback_point);
        rollback_point.state.rollbacks += 1;
        rollback_point.state.learning_rate /= 2.0;
        self.restore(&rollback_point)?;
        self.restore_callbacks(&rollback_point)?;
        let State { rollbacks, learning_rate, epoch, .. } = rollback_point.state;
        let rollback = Rollback { epoch: epoch + 1, batch, learning_rate, rollbacks };
        let rollback_point = Arc::new(rollback_point);
        self.callbacks.each(|callback| callback.on_rollback(&rollback))?;
        // A rollback, too, must survive a later crash.
        if self.callbacks.want_snapshot(SnapshotTrigger::Epoch) {
            self.callbacks.send_snapshot(Some(&rollback_point))?;
        }
        self.rollback_point = Some(rollback_point);
        Ok(())
    }
}
