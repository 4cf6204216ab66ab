//! Interruption of a training from outside: signals, and a time limit.

use std::io;
use std::time::Instant;

use seqfit::EpochRecord;
use seqfit::callback::{BatchInfo, Callback, CallbackError, Flow, Plan, Training};

use crate::cli::signals::Signals;

/// Interrupts the training after the batch, or the validation, during which a signal was received or the time ran
/// out. A second signal ends the process at once.
pub struct Interruption {
    signals: Signals,
    deadline: Option<Instant>,
    stopped: bool,
    /// The last batch of an epoch that is not finished.
    batch: usize,
    epochs: usize,
}

impl Interruption {
    /// Starts watching for signals.
    pub fn watch(deadline: Option<Instant>) -> io::Result<Self> {
        let signals = Signals::watch()?;
        Ok(Self { signals, deadline, stopped: false, batch: 0, epochs: 0 })
    }

    /// Returns the number and name of the received signal, if any.
    pub fn signal(&self) -> Option<(i32, &'static str)> {
        self.signals.first()
    }

    /// Returns whether the training was interrupted.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Returns the number of batches of the next epoch that were trained.
    pub fn batch(&self) -> usize {
        self.batch
    }

    fn flow(&mut self, ends_anyway: bool) -> Flow {
        let out_of_time = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        self.stopped = self.signal().is_some() || out_of_time && !ends_anyway;
        if self.stopped { Flow::Interrupt } else { Flow::Continue }
    }
}

impl Callback for Interruption {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        self.epochs = plan.epochs;
        Ok(())
    }

    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        self.batch = batch.batch;
        Ok(self.flow(false))
    }

    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        self.batch = 0;
        Ok(self.flow(record.epoch >= self.epochs))
    }
}
