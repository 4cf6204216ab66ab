//! A run that is ready to train, and its callbacks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use seqfit::callback::{Callback, EarlyStopping, ReduceLrOnPlateau};
use seqfit::run::{CheckpointFailure, ModelCheckpoint, Run};
use seqfit::{Sequential, Snapshot, data};

use super::super::output::print_status;
use super::trial_runs::Trial;

/// A run that is ready to train.
pub(super) struct Job {
    pub(super) run: Run,
    pub(super) data: data::Loaded,
    pub(super) model: Sequential,
    /// The snapshot to resume from.
    pub(super) snapshot: Option<Arc<Snapshot>>,
    /// Files that could not be written so far.
    pub(super) failures: Vec<String>,
    /// The trial that this run belongs to, if any; nothing of a trial is kept.
    pub(super) trial: Option<Trial>,
}

/// The callbacks whose state is saved in a run's checkpoints.
pub(super) struct RunCallbacks {
    pub(super) early_stopping: Option<EarlyStopping>,
    pub(super) reduce_lr: Option<ReduceLrOnPlateau>,
    /// None if the run keeps none.
    pub(super) checkpoints: Option<ModelCheckpoint>,
}

impl RunCallbacks {
    pub(super) fn new(run: &Run) -> anyhow::Result<Self> {
        let config = run.config();
        let checkpoints = config.checkpoints.clone();
        let (folder, identity) = (run.checkpoints_path(), run.identity()?);
        Ok(Self {
            early_stopping: config
                .callbacks
                .early_stopping
                .clone()
                .map(EarlyStopping::new)
                .transpose()?,
            reduce_lr: config
                .callbacks
                .reduce_lr
                .clone()
                .map(ReduceLrOnPlateau::new)
                .transpose()?,
            checkpoints: (checkpoints.keep > 0)
                .then(|| ModelCheckpoint::new(&folder, identity, checkpoints, warn_once()))
                .transpose()?,
        })
    }

    pub(super) fn callbacks(&mut self) -> Vec<&mut dyn Callback> {
        let mut callbacks: Vec<&mut dyn Callback> = Vec::new();
        callbacks.extend(self.early_stopping.as_mut().map(|c| c as &mut dyn Callback));
        callbacks.extend(self.reduce_lr.as_mut().map(|c| c as &mut dyn Callback));
        callbacks.extend(self.checkpoints.as_mut().map(|c| c as &mut dyn Callback));
        callbacks
    }
}

/// Warns about the first checkpoint that could not be written. Later ones usually fail for the same reason, and
/// are counted at the end.
fn warn_once() -> impl Fn(&CheckpointFailure) + Send + Sync {
    let warned = AtomicBool::new(false);
    move |failure| {
        if !warned.swap(true, Ordering::Relaxed) {
            print_status(format_args!("warning: {failure}; training continues"));
        }
    }
}
