//! Writes checkpoints while training runs, off the training thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::checkpoints::{self, BEST};
use super::config::CheckpointConfig;
use super::identity::Identity;
use crate::files::WriteError;
use crate::train::callback::{
    Callback, CallbackError, Flow, Plan, Rollback, SnapshotTrigger, Training,
};
use crate::train::{CallbackState, EpochRecord, Snapshot};

/// Keeps checkpoints of a run in a folder: one after every epoch, one every so many seconds within
/// an epoch, and one of the best epoch, as Keras's `ModelCheckpoint` and `BackupAndRestore` together.
///
/// The training thread copies the state and goes on; encoding, writing, forcing to the disk and
/// reading back happen on a thread of its own. It waits only if a checkpoint is due while the one
/// before is still being written, so that no more than that one can be lost.
///
/// A checkpoint that cannot be written ends nothing: the ones before stay, the next is tried again,
/// and [`finish`](Self::finish) tells.
pub struct ModelCheckpoint {
    config: CheckpointConfig,
    best: Best,
    /// Whether the epoch that just ended is the best so far.
    is_best: bool,
    /// Whether the run has just gone back.
    is_rollback: bool,
    last: Instant,
    shared: Arc<Shared>,
    writer: Option<(SyncSender<Option<Job>>, JoinHandle<()>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Best {
    value: Option<f64>,
    epoch: usize,
}

struct Job {
    snapshot: Arc<Snapshot>,
    is_best: bool,
    /// The run has gone back to here: what lies beyond goes, once this is written.
    is_rollback: bool,
}

/// Leaves the processors to the training's own threads, if they want all: one that is put aside within a
/// task holds up the whole step. Whoever waits for a checkpoint makes room for this thread.
fn lower_priority() {
    // On Linux it is the calling thread's alone. What the system refuses costs speed and no more.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(19);
}

type Tell = Box<dyn Fn(&CheckpointFailure) + Send + Sync>;

/// What the training thread and the writer both see.
struct Shared {
    folder: PathBuf,
    identity: Identity,
    keep: usize,
    busy: AtomicBool,
    failures: Mutex<Vec<CheckpointFailure>>,
    tell: Tell,
}

/// A checkpoint that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointFailure {
    /// Its file.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its contents.
    #[error("a checkpoint cannot be made: {0}")]
    Encode(#[from] CheckpointError),
    /// The writer itself.
    #[error("the thread that writes checkpoints has ended early")]
    Thread,
}

impl ModelCheckpoint {
    /// Checkpoints in `folder`, which is made if need be. `tell` hears of each that could not be
    /// written, from another thread.
    ///
    /// # Errors
    /// A folder that cannot be made, or no thread to write from.
    pub fn new(
        folder: &Path,
        identity: Identity,
        config: CheckpointConfig,
        tell: impl Fn(&CheckpointFailure) + Send + Sync + 'static,
    ) -> Result<Self, WriteError> {
        let at = |source| WriteError::new(folder, 0, source);
        fs::create_dir_all(folder).map_err(at)?;
        checkpoints::sweep(folder).map_err(at)?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            identity,
            keep: config.keep,
            busy: AtomicBool::new(false),
            failures: Mutex::default(),
            tell: Box::new(tell),
        });
        // Nothing waits in the channel: a job is taken over or the sender waits.
        let (sender, receiver) = sync_channel::<Option<Job>>(0);
        let own = Arc::clone(&shared);
        let work = move || {
            lower_priority();
            for job in receiver.into_iter().flatten() {
                own.busy.store(true, Ordering::Release);
                if let Err(failure) = own.write(&job) {
                    own.failed(failure);
                }
                own.busy.store(false, Ordering::Release);
            }
        };
        let thread = Builder::new().name("checkpoints".to_owned()).spawn(work).map_err(at)?;
        Ok(Self {
            config,
            best: Best::default(),
            is_best: false,
            is_rollback: false,
            last: Instant::now(),
            shared,
            writer: Some((sender, thread)),
        })
    }

    /// The best value of the watched figure and its epoch, from 1.
    pub fn best(&self) -> Option<(f64, usize)> {
        self.best.value.map(|value| (value, self.best.epoch))
    }

    /// Waits until everything is written, and tells what could not be.
    pub fn finish(mut self) -> Vec<CheckpointFailure> {
        self.join();
        let mut failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *failures)
    }

    /// Hands over a job, or nothing, as soon as all before is written.
    fn send(&self, job: Option<Job>) {
        let sent = self.writer.as_ref().is_some_and(|(sender, _)| sender.send(job).is_ok());
        if !sent {
            self.shared.failed(CheckpointFailure::Thread);
        }
    }

    fn join(&mut self) {
        if let Some((sender, thread)) = self.writer.take() {
            drop(sender);
            if thread.join().is_err() {
                self.shared.failed(CheckpointFailure::Thread);
            }
        }
    }
}

impl Drop for ModelCheckpoint {
    fn drop(&mut self) {
        self.join();
    }
}

impl Shared {
    fn write(&self, job: &Job) -> Result<(), CheckpointFailure> {
        let Job { snapshot, is_best, is_rollback } = job;
        let state = &snapshot.state;
        let name = checkpoints::name((state.epoch, state.batch));
        let identity = self.identity.clone();
        let bytes = Checkpoint { identity, snapshot: Arc::clone(snapshot) }.to_bytes()?;
        // The best first: a run that goes on after a crash in between comes by here again. If it cannot
        // be written, the other still may.
        let best = if *is_best { self.write_file(BEST, &bytes) } else { Ok(()) };
        self.write_file(&name, &bytes)?;
        if *is_rollback {
            checkpoints::forget(&self.folder, (state.epoch, state.batch))
                .map_err(|source| WriteError::new(&self.folder, 0, source))?;
        }
        checkpoints::prune(&self.folder, self.keep)
            .map_err(|source| WriteError::new(&self.folder, 0, source))?;
        Ok(best?)
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let path = self.folder.join(name);
        checkpoints::retry_after_pruning(&self.folder, || checkpoints::write(&path, bytes))
    }

    fn failed(&self, failure: CheckpointFailure) {
        (self.tell)(&failure);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        (self.best, self.is_best, self.last) = (Best::default(), false, Instant::now());
        let checked = self.config.monitor.map(|monitor| monitor.check(plan.validation_samples));
        Ok(checked.transpose().map(|_| ())?)
    }

    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        // Whoever is told of this epoch after us finds the one before on the disk.
        self.send(None);
        let Some(monitor) = self.config.monitor else { return Ok(Flow::Continue) };
        let value = monitor.of(record).unwrap_or(f64::NAN);
        self.is_best = monitor.improves(value, self.best.value, 0.0);
        if self.is_best {
            self.best = Best { value: Some(value), epoch: record.epoch };
        }
        Ok(Flow::Continue)
    }

    fn wants_snapshot(&mut self, trigger: SnapshotTrigger) -> bool {
        match trigger {
            SnapshotTrigger::Epoch => true,
            // While one is being written, the next can wait.
            SnapshotTrigger::Batch => {
                let interval = Duration::try_from_secs_f64(self.config.seconds);
                interval.is_ok_and(|interval| self.last.elapsed() >= interval)
                    && !self.shared.busy.load(Ordering::Acquire)
            }
        }
    }

    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.last = Instant::now();
        let is_best = std::mem::take(&mut self.is_best);
        let is_rollback = std::mem::take(&mut self.is_rollback);
        self.send(Some(Job { snapshot: Arc::clone(snapshot), is_best, is_rollback }));
        Ok(())
    }

    fn on_rollback(&mut self, _: &Rollback) -> Result<(), CallbackError> {
        // The snapshot of where the run has gone back to comes next.
        (self.is_best, self.is_rollback) = (false, true);
        Ok(())
    }

    fn key(&self) -> Option<&'static str> {
        Some("model_checkpoint")
    }

    fn state(&self) -> Result<CallbackState, CallbackError> {
        Ok(CallbackState { value: serde_json::to_value(self.best)?, ..CallbackState::default() })
    }

    fn restore(
        &mut self,
        training: &mut Training,
        state: &CallbackState,
    ) -> Result<(), CallbackError> {
        let best: Best = serde_json::from_value(state.value.clone())?;
        let epochs = training.history().epochs.len();
        if best.epoch > epochs {
            return Err(format!("the best of {epochs} epochs cannot be {}", best.epoch).into());
        }
        self.best = best;
        Ok(())
    }
}
