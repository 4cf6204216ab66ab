//! What ends a training from outside: signals, and the time that it may take.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use seqfit::EpochRecord;
use seqfit::callback::{BatchInfo, Callback, CallbackError, Flow, Plan, Training};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

const SIGNALS: [(i32, &str); 3] = [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")];

/// Interrupts the training after the batch, or the validation, during which a signal came or the time ran
/// out. A second signal ends the process at once.
pub struct Interruption {
    signal: Arc<AtomicUsize>,
    deadline: Option<Instant>,
    stopped: bool,
    /// The last batch of an epoch that is not finished.
    batch: usize,
    epochs: usize,
}

/// The signals that this process was started to ignore, a bit for each from signal 1 on; none where the
/// system does not tell.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

impl Interruption {
    /// Watches from here on.
    pub fn watch(deadline: Option<Instant>) -> io::Result<Self> {
        let (signal, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let ignored = ignored_signals();
        for (number, _) in SIGNALS {
            // As nohup and shells in the background want it.
            if ignored & 1 << (number - 1) != 0 {
                continue;
            }
            // In this order: the first signal finds `again` unset, and sets it.
            flag::register_conditional_default(number, Arc::clone(&again))?;
            flag::register(number, Arc::clone(&again))?;
            flag::register_usize(number, Arc::clone(&signal), number as usize)?;
        }
        Ok(Self { signal, deadline, stopped: false, batch: 0, epochs: 0 })
    }

    /// The signal that came, if one did: its number and name.
    pub fn signal(&self) -> Option<(i32, &'static str)> {
        let found = self.signal.load(Ordering::Relaxed);
        SIGNALS.into_iter().find(|&(number, _)| number as usize == found)
    }

    /// Whether the training was interrupted.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// How many batches of the next epoch were trained.
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
