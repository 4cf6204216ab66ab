//! The options that select a run, and which of its weights are used.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use seqfit::run::{Run, RunError, checkpoints};
use seqfit::{Device, Sequential};

use super::output::{print_status, quoted};

/// Selects a run, and which of its weights to use.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// The run folder
    pub run: PathBuf,
    /// Use the weights of a checkpoint: the newest, or the best by validation [default: the final
    /// weights of the training]
    #[arg(long, value_enum)]
    checkpoint: Option<CheckpointName>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CheckpointName {
    Last,
    Best,
}

impl RunOptions {
    /// Opens the run.
    pub fn open(&self) -> Result<Run, RunError> {
        Run::open(&self.run)
    }

    /// Returns the name of the checkpoint whose weights are requested, if any: "last" or "best".
    pub fn checkpoint(&self) -> Option<&'static str> {
        self.checkpoint.map(|name| match name {
            CheckpointName::Last => "last",
            CheckpointName::Best => "best",
        })
    }

    /// Returns these options quoted for a shell.
    pub fn quoted(&self) -> String {
        let run = quoted(&self.run);
        match self.checkpoint() {
            None => run,
            Some(name) => format!("{run} --checkpoint {name}"),
        }
    }

    /// Loads the run's network onto a device.
    pub fn load(&self, run: &Run, device: Device) -> Result<Sequential, RunError> {
        let folder = run.checkpoints_path();
        let path = match self.checkpoint {
            None => {
                if let Some(newer) = run.newer_checkpoint() {
                    print_status(format_args!(
                        "note: the run has continued to {} since its network was saved: --checkpoint last \
                         uses that",
                        newer.display()
                    ));
                }
                return match run.load_model(device) {
                    Err(RunError::Unfinished(path)) if newest(run)?.is_some() => {
                        Err(RunError::OnlyCheckpoints(path))
                    }
                    loaded => loaded,
                };
            }
            Some(CheckpointName::Best) => Some(folder.join(checkpoints::BEST)),
            Some(CheckpointName::Last) => newest(run)?,
        };
        match path {
            Some(path) if path.exists() => run.load_checkpoint(&path, device),
            _ => Err(RunError::NoCheckpoint(self.run.clone())),
        }
    }

    /// Describes the requested weights, if they are not the final ones.
    pub fn which(&self) -> Option<&'static str> {
        self.checkpoint.map(|name| match name {
            CheckpointName::Last => "those of the newest checkpoint",
            CheckpointName::Best => "those of the best checkpoint",
        })
    }

    /// Loads the network of the newest checkpoint; returns `None` if there is no checkpoint.
    pub fn load_newest(&self, run: &Run, device: Device) -> Result<Option<Sequential>, RunError> {
        newest(run)?.map(|path| run.load_checkpoint(&path, device)).transpose()
    }
}

/// Returns the path of a run's newest checkpoint.
fn newest(run: &Run) -> Result<Option<PathBuf>, RunError> {
    let folder = run.checkpoints_path();
    let all = checkpoints::list(&folder);
    let all = all.map_err(|source| RunError::Read { path: folder, source })?;
    Ok(all.into_iter().next_back().map(|(_, path)| path))
}
