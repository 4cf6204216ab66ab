//! What can go wrong with a run folder.

use std::io;
use std::path::PathBuf;

use super::checkpoints::Problem;
use super::identity::Difference;
use crate::export::ExportError;
use crate::files::WriteError;
use crate::model::{ModelError, WeightsError};

/// What is wrong with a run folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is something in the folder already.
    #[error(
        "a run needs a folder of its own, and {0} is not empty: choose another --out, --resume to go \
         on with the run in it, or --force to replace it"
    )]
    Exists(PathBuf),
    /// Another process writes into the folder.
    #[error(
        "one process at a time may write into {path}, and {who} does: wait for it, or choose another \
         --out",
        who = .pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The other process, if it has said who it is.
        pid: Option<u32>,
    },
    /// A run is to go on with other settings or data.
    #[error(
        "{path} goes on with what it began with: {list}: leave these options out, restore the data, or \
         begin a new run",
        list = .differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Changed {
        /// The folder.
        path: PathBuf,
        /// Each setting with both values.
        differences: Vec<Difference>,
    },
    /// A run is to end before the place it has come to.
    #[error(
        "{path} has done {done}, found --epochs {found}: give the epochs of the whole run, no fewer than \
         are done"
    )]
    TooFewEpochs {
        /// The folder.
        path: PathBuf,
        /// "3 epochs", "3 epochs and 120 batches".
        done: String,
        /// Epochs that were asked for.
        found: usize,
    },
    /// A finished run whose checkpoints are gone.
    #[error(
        "{0} is finished, and without a whole checkpoint there is nothing to go on from: train anew, with \
         --force to replace it"
    )]
    NothingToGoOnFrom(PathBuf),
    /// `--force` would remove something that is no run.
    #[error(
        "--force replaces a run, and {0} holds something else: remove it yourself, or choose another \
         --out"
    )]
    NotARun(PathBuf),
    /// A run is expected and is not there.
    #[error(
        "{path} is no run folder ({file} is missing): name one that `seqfit train` has finished"
    )]
    Missing {
        /// The folder.
        path: PathBuf,
        /// What it lacks.
        file: &'static str,
    },
    /// A run that has not come to its end.
    #[error("{0} is not finished: seqfit train --resume {0} goes on with it")]
    Unfinished(PathBuf),
    /// An imported network has no training to go on with.
    #[error(
        "{0} was imported, and has no training to go on with: seqfit train --init-from {0} begins one with \
         its weights"
    )]
    Imported(PathBuf),
    /// The weights that a run began with are no longer there.
    #[error(
        "the run began with {path}, whose SHA-256 was {expected}, found {found}: restore the file, or \
         begin a new run"
    )]
    Origin {
        /// The file.
        path: PathBuf,
        /// Its digest when the run began.
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
    /// A file has a size that it cannot have.
    #[error("{path} must hold {wanted} bytes, found {found}: restore the file, or train again")]
    Size {
        /// The file.
        path: PathBuf,
        /// "at most 1048576", "at least 437544".
        wanted: String,
        /// Its size.
        found: String,
    },
    /// A pipe or a device in the place of a file.
    #[error("{0} must be an ordinary file of a run's: move it away, or restore it")]
    NotAFile(PathBuf),
    /// Output that would destroy the run itself.
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
        "{path} is of another run: {list}: take a checkpoint of this one",
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
        /// What is wrong with it.
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
    /// The config is no config.
    #[error("{path} is not a run's config: {message}: restore the file, or train again")]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
    /// The history of the epochs is none.
    #[error("{path} is no history of a run's: {message}: restore the file")]
    History {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A folder cannot be made, emptied or written into.
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
    /// A table cannot be put into text.
    #[error("a run's {file} cannot be written: {message}")]
    Encode {
        /// The file.
        file: &'static str,
        /// What the encoder said.
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
