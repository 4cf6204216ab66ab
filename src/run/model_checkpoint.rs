//! Writes checkpoints during training, off the training thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::checkpoint_file::{Checkpoint, CheckpointError};
use super::checkpoint_folder::{self, BEST};
use super::run_config::CheckpointConfig;
use super::run_identity::Identity;
use crate::atomic_files::WriteError;
use crate::train::callback::{
    Callback, CallbackError, Flow, Plan, Rollback, SnapshotTrigger, Training,
};
use crate::train::{CallbackState, EpochRecord, Snapshot};

/// Keeps checkpoints of a run in a folder: one after every epoch, one at a fixed interval of seconds within
/// an epoch, and one of the best epoch, like Keras's `ModelCheckpoint` and `BackupAndRestore` combined.
///
/// The training thread copies the state and continues; a separate thread encodes it, writes it, forces it to
/// the disk and reads it back. The training thread waits only if a checkpoint is due while the previous one
/// is still being written, so that no more than that one can be lost.
///
/// A checkpoint that cannot be written does not stop the training: the previous ones stay, the next one is
/// attempted again, and [`finish`](Self::finish) returns the failures.
pub struct ModelCheckpoint {
    config: CheckpointConfig,
    best: Best,
    /// Whether the epoch that just ended is the best so far.
    is_best: bool,
    /// Whether the run has just rolled back.
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
    /// The run has rolled back to this snapshot: the checkpoints after it are removed once it is written.
    is_rollback: bool,
}

/// Leaves the processors to the training's own threads if they need all of them: a thread that is preempted
/// within a task delays the whole step. When the training waits for a checkpoint, its threads leave room for
/// this one.
fn lower_priority() {
    // On Linux, this affects only the calling thread. If the system refuses, it costs only speed.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(19);
}

type Tell = Box<dyn Fn(&CheckpointFailure) + Send + Sync>;

/// The state shared by the training thread and the writer.
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
    /// Its file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Its contents could not be encoded.
    #[error("a checkpoint cannot be made: {0}")]
    Encode(#[from] CheckpointError),
    /// The writer thread itself failed.
    #[error("the thread that writes checkpoints has ended early")]
    Thread,
}

impl ModelCheckpoint {
    /// Creates the callback for checkpoints in `folder`, which is created if needed. `tell` is called from
    /// another thread for each checkpoint that could not be written.
    ///
    /// # Errors
    /// A folder that cannot be created, or a writer thread that cannot be started.
    pub fn new(
        folder: &Path,
        identity: Identity,
        config: CheckpointConfig,
        tell: impl Fn(&CheckpointFailure) + Send + Sync + 'static,
    ) -> Result<Self, WriteError> {
        let at = |source| WriteError::new(folder, 0, source);
        fs::create_dir_all(folder).map_err(at)?;
        checkpoint_folder::sweep(folder).map_err(at)?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            identity,
            keep: config.keep,
            busy: AtomicBool::new(false),
            failures: Mutex::default(),
            tell: Box::new(tell),
        });
        // The channel has no buffer: either the job is received or the sender waits.
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

    /// Returns the best value of the monitored metric and its epoch, from 1.
    pub fn best(&self) -> Option<(f64, usize)> {
        self.best.value.map(|value| (value, self.best.epoch))
    }

    /// Waits until everything is written and returns the failures.
    pub fn finish(mut self) -> Vec<CheckpointFailure> {
        self.join();
        let mut failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *failures)
    }

    /// Sends a job, or nothing, as soon as all earlier ones are written.
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
        let name = checkpoint_folder::name((state.epoch, state.batch));
        let identity = self.identity.clone();
        let bytes = Checkpoint { identity, snapshot: Arc::clone(snapshot) }.to_bytes()?;
        // The best first: if the process crashes in between, the resumed run writes this checkpoint again. If
        // it cannot be written, the other one may still succeed.
        let best = if *is_best { self.write_file(BEST, &bytes) } else { Ok(()) };
        self.write_file(&name, &bytes)?;
        if *is_rollback {
            checkpoint_folder::forget(&self.folder, (state.epoch, state.batch))
                .map_err(|source| WriteError::new(&self.folder, 0, source))?;
        }
        checkpoint_folder::prune(&self.folder, self.keep)
            .map_err(|source| WriteError::new(&self.folder, 0, source))?;
        Ok(best?)
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), WriteError> {
        let path = self.folder.join(name);
        checkpoint_folder::retry_after_pruning(&self.folder, || {
            checkpoint_folder::write(&path, bytes)
        })
    }

    fn failed(&self, failure: CheckpointFailure) {
        (self.tell)(&failure);
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&mut self, _: &mut Training, plan: &Plan) -> Result<(), CallbackError> {
        (self.best, self.is_best, self.last) = (Best::default(), false, Instant::now());
        let monitor = self.config.monitor.as_ref().map(|monitor| monitor.in_plan(plan));
        self.config.monitor = monitor.transpose()?;
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        _: &mut Training,
        record: &EpochRecord,
    ) -> Result<Flow, CallbackError> {
        // Callbacks that run after this one in this epoch find the previous checkpoint on the disk.
        self.send(None);
        let Some(monitor) = &self.config.monitor else { return Ok(Flow::Continue) };
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
        // The snapshot of the state that the run rolled back to comes next.
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
