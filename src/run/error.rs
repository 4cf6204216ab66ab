//! Errors of a run folder.

use std::io;
use std::path::PathBuf;

use super::changed_setting::Difference;
use super::checkpoint_problem::Problem;
use super::near_run::NearRun;
use crate::atomic_files::WriteError;
use crate::export::ExportError;
use crate::message_text::quoted;
use crate::model::{ModelError, WeightsError};

/// Why a run folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder is not empty.
    #[error(
        "a run needs an empty folder, and {0} is not empty: choose another --out, resume the run in it with \
         --resume, or replace it with --force"
    )]
    Exists(PathBuf),
    /// The folder is not empty, and what it holds is not a run.
    #[error(
        "a run needs an empty folder, and {path} is not empty and is not a run (it has {file}): choose another \
         --out"
    )]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// One of the files that are not a run's.
        file: String,
    },
    /// Another process writes into the folder.
    #[error(
        "one process at a time may write into {path}, and {who} does: wait for it, or choose another \
         --out",
        who = .pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The other process, if it has recorded its id.
        pid: Option<u32>,
    },
    /// A run was to resume with other settings or data.
    #[error(
        "{path} must resume with its original settings and data: {list}: omit these options, restore the data, \
         or start a new run",
        list = .differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Changed {
        /// The folder.
        path: PathBuf,
        /// Each setting with both values.
        differences: Vec<Difference>,
    },
    /// A run was to end before the point that it has reached.
    #[error(
        "{path} has trained {done}, found --epochs {found}: give the total number of epochs, including those \
         already trained"
    )]
    TooFewEpochs {
        /// The folder.
        path: PathBuf,
        /// "3 epochs", "3 epochs and 120 batches".
        done: String,
        /// The number of epochs that was requested.
        found: usize,
    },
    /// A finished run whose checkpoints are gone.
    #[error(
        "{0} is finished and has no intact checkpoint to resume from: train again, with --force to replace \
         it"
    )]
    NothingToGoOnFrom(PathBuf),
    /// `--force` would remove something that is not a run.
    #[error(
        "--force replaces a run and nothing else, and {path} has files that are not a run's ({file}): remove \
         them yourself, or choose another --out"
    )]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// One of these files.
        file: String,
    },
    /// A run is to replace another one, and a third is at that path.
    #[error(
        "{folder} began as the replacement of a run at {place}, where there is now another run, or the run was \
         changed: move {place} elsewhere, or remove {marker}, and {folder} stays where it is"
    )]
    PlaceTaken {
        /// The folder of the run that replaces.
        folder: PathBuf,
        /// The path that it is to take.
        place: PathBuf,
        /// The file that says so.
        marker: PathBuf,
    },
    /// Nothing is at a run's path.
    #[error("{path} does not exist: give a run folder, which seqfit train writes{}", near_run(.near))]
    NotThere {
        /// The path.
        path: PathBuf,
        /// The run that was probably meant.
        near: Option<NearRun>,
    },
    /// A run is expected, and the path is that of something else.
    #[error(
        "{path} is not a run folder ({why}): give a run folder, which seqfit train writes{}",
        near_run(.near)
    )]
    NotARunFolder {
        /// The path.
        path: PathBuf,
        /// How it differs from a run.
        why: &'static str,
        /// The run that was probably meant.
        near: Option<NearRun>,
    },
    /// A file of a run is missing.
    #[error("{path} is a run folder without {file}: restore the file, or train again")]
    Missing {
        /// The folder.
        path: PathBuf,
        /// The file that is missing.
        file: &'static str,
    },
    /// A run that is not finished.
    #[error(
        "{0} is not finished: seqfit train --resume {quoted} continues it",
        quoted = quoted(.0)
    )]
    Unfinished(PathBuf),
    /// A run that is not finished, where the network of a checkpoint may be used.
    #[error(
        "{0} is not finished: seqfit train --resume {quoted} continues it, and --checkpoint last uses the \
         network of its newest checkpoint",
        quoted = quoted(.0)
    )]
    OnlyCheckpoints(PathBuf),
    /// An imported network has no training to resume.
    #[error(
        "{0} was imported and has no training to resume: seqfit train --init-from {quoted} starts one from \
         its weights",
        quoted = quoted(.0)
    )]
    Imported(PathBuf),
    /// The file of a run's initial weights no longer exists or has changed.
    #[error(
        "the run started from {path}, whose SHA-256 was {expected}, found {found}: restore the file, or \
         start a new run"
    )]
    Origin {
        /// The file.
        path: PathBuf,
        /// Its digest when the run started.
        expected: String,
        /// Its digest now.
        found: String,
    },
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file has an impossible size.
    #[error("{path} must hold {wanted} bytes, found {found}: restore the file, or train again")]
    Size {
        /// The file.
        path: PathBuf,
        /// "at most 1048576", "at least 437544".
        wanted: String,
        /// Its size.
        found: String,
    },
    /// A pipe or a device in place of a file.
    #[error("{0} must be an ordinary file of the run: move it away, or restore it")]
    NotAFile(PathBuf),
    /// The output would overwrite the run itself.
    #[error("{0} belongs to the run: choose another place for the output")]
    OwnFile(PathBuf),
    /// The weights of a network that diverged.
    #[error("{path} cannot be written: {source}: use a lower learning rate")]
    Save {
        /// The file of weights.
        path: PathBuf,
        /// Why.
        source: WeightsError,
    },
    /// A checkpoint of another run.
    #[error(
        "{path} belongs to another run: {list}: use a checkpoint of this run",
        list = .differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Each setting with the checkpoint's value and the run's.
        differences: Vec<Difference>,
    },
    /// There is no such checkpoint.
    #[error(
        "{0} has no such checkpoint: there is one after each epoch, and a best one with a validation \
         split"
    )]
    NoCheckpoint(PathBuf),
    /// A checkpoint cannot be used.
    #[error("{path}: {source}: move it away, or train again")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        source: Problem,
    },
    /// The network cannot be exported.
    #[error("{path} cannot be written: {source}")]
    Export {
        /// The exported network.
        path: PathBuf,
        /// Why.
        source: ExportError,
    },
    /// The config cannot be parsed.
    #[error("{path} is not a run's config: {message}: restore the file, or train again")]
    Config {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        message: String,
    },
    /// The history of the epochs cannot be parsed.
    #[error("{path} is not a run's history: {message}: restore the file")]
    History {
        /// The file.
        path: PathBuf,
        /// Why it cannot be parsed.
        message: String,
    },
    /// A folder cannot be created, emptied or written to.
    #[error(
        "{path} cannot be used as a run's folder: {source}: allow writing there, or choose another"
    )]
    Prepare {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A table cannot be encoded as text.
    #[error("a run's {file} cannot be written: {message}")]
    Encode {
        /// The file.
        file: &'static str,
        /// The encoder's message.
        message: String,
    },
    /// The network in the config cannot be built.
    #[error("{path}: {source}")]
    Model {
        /// The config.
        path: PathBuf,
        /// Why.
        source: ModelError,
    },
    /// The weights do not fit.
    #[error("{path}: {source}: restore the file, or train again")]
    Weights {
        /// The file of weights.
        path: PathBuf,
        /// Why.
        source: WeightsError,
    },
}

/// Returns the end of a message about a path without a run: the run that was probably meant.
fn near_run(near: &Option<NearRun>) -> String {
    near.as_ref().map_or(String::new(), |near| format!("; {near}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_messages_are_quoted_for_a_shell() {
        for error in [RunError::Unfinished, RunError::OnlyCheckpoints, RunError::Imported] {
            let message = error("my runs/Ann's".into()).to_string();
            assert!(message.starts_with("my runs/Ann's "), "{message}");
            assert!(message.contains(r" 'my runs/Ann'\''s' "), "{message}");
        }
    }
}
