//! A run folder: everything that one training run was made from and left behind.
//!
//! `config.toml` is written before training and read back by every later command, so that a shape
//! is never typed twice; `history.csv`, `model.safetensors` and `result.json` when training ends.

mod config;

pub use config::{DataConfig, RunConfig, Versions};

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::device::{self, Device};
use crate::evaluate::Evaluation;
use crate::files::{self, WriteError};
use crate::model::{ModelError, Sequential, WeightsError};
use crate::train::{EpochRecord, History};

/// The names of a run's files.
pub const CONFIG: &str = "config.toml";
/// The records of the epochs.
pub const HISTORY: &str = "history.csv";
/// The trained parameters.
pub const WEIGHTS: &str = "model.safetensors";
/// The exported network.
pub const TORCHSCRIPT: &str = "model.pt";
/// The final figures.
pub const RESULT: &str = "result.json";

const FILES: [&str; 5] = [CONFIG, HISTORY, WEIGHTS, TORCHSCRIPT, RESULT];

/// A run folder on disk.
#[derive(Clone, Debug)]
pub struct Run {
    path: PathBuf,
    config: RunConfig,
}

/// What a run ends with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Figures on the test set.
    pub test: Figures,
    /// The last epoch.
    pub last_epoch: Option<EpochRecord>,
    /// Epochs trained.
    pub epochs: usize,
    /// Wall-clock seconds of all epochs, validation included.
    pub seconds: f64,
}

/// The short form of an [`Evaluation`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of right answers.
    pub accuracy: f64,
    /// Samples.
    pub samples: usize,
}

impl From<&Evaluation> for Figures {
    fn from(evaluation: &Evaluation) -> Self {
        let &Evaluation {
            loss,
            accuracy,
            samples,
            ..
        } = evaluation;
        Self {
            loss,
            accuracy,
            samples,
        }
    }
}

/// What is wrong with a run folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// There is something in the folder already.
    #[error(
        "a run needs a folder of its own, and {0} is not empty: choose another --out, or --force \
         to replace the run in it"
    )]
    Exists(PathBuf),
    /// `--force` would remove something that is no run.
    #[error(
        "--force replaces a run, and {0} holds no config.toml of one: remove it yourself, or choose \
         another --out"
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
    /// A file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is larger than it can be.
    #[error("{path} may hold at most {limit} bytes, found {found}: it is not what seqfit wrote")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// Its size.
        found: u64,
    },
    /// The config is no config.
    #[error("{path} is not a run's config: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
    /// A folder cannot be made or emptied.
    #[error("{path} cannot be made a run's folder: {source}: choose another --out")]
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

impl Run {
    /// Makes the folder and writes `config.toml`.
    ///
    /// # Errors
    /// A folder that holds something (unless `force` and it is a run), or that cannot be written.
    pub fn create(path: &Path, force: bool, config: RunConfig) -> Result<Self, RunError> {
        Self::check_vacant(path, force)?;
        let prepare = |source| RunError::Prepare {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path).map_err(prepare)?;
        for file in FILES {
            match fs::remove_file(path.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(prepare(error));
                }
                _ => {}
            }
        }
        let text = config.to_toml()?;
        files::write(&path.join(CONFIG), text.as_bytes())?;
        Ok(Self {
            path: path.to_owned(),
            config,
        })
    }

    /// Whether [`create`](Self::create) would find the place free; asked before long work.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn check_vacant(path: &Path, force: bool) -> Result<(), RunError> {
        match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(RunError::Prepare {
                path: path.to_owned(),
                source,
            }),
            Ok(mut entries) => match (entries.next().is_none(), force) {
                (true, _) => Ok(()),
                (false, false) => Err(RunError::Exists(path.to_owned())),
                (false, true) if path.join(CONFIG).is_file() => Ok(()),
                (false, true) => Err(RunError::NotARun(path.to_owned())),
            },
        }
    }

    /// Opens a run that has begun.
    ///
    /// # Errors
    /// A folder without a config, or with one that is none.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let bytes = read(path, CONFIG, 1 << 20)?;
        let config = RunConfig::from_toml(&String::from_utf8_lossy(&bytes)).map_err(|message| {
            RunError::Config {
                path: path.join(CONFIG),
                message,
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            config,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run was made from.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Writes the trained parameters and the history.
    ///
    /// # Errors
    /// Parameters that are not finite, or files that cannot be written.
    pub fn save(&self, model: &Sequential, history: &History) -> Result<(), RunError> {
        let path = self.path.join(WEIGHTS);
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = model
            .to_safetensors(metadata)
            .map_err(|source| RunError::Weights {
                path: path.clone(),
                source,
            })?;
        files::write(&path, &bytes)?;
        Ok(files::write(
            &self.path.join(HISTORY),
            history.to_csv().as_bytes(),
        )?)
    }

    /// Writes the final figures.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_result(&self, result: &RunResult) -> Result<(), RunError> {
        let mut text = serde_json::to_string_pretty(result).map_err(|e| RunError::Encode {
            file: RESULT,
            message: e.to_string(),
        })?;
        text.push('\n');
        Ok(files::write(&self.path.join(RESULT), text.as_bytes())?)
    }

    /// The trained network, on `device`.
    ///
    /// # Errors
    /// A run without weights, weights that are not its network's, or a device that is not there.
    pub fn load_model(&self, device: Device) -> Result<Sequential, RunError> {
        let network = self.config.network.clone();
        let mut model =
            Sequential::from_spec(network, device, self.config.fit.seed).map_err(|source| {
                RunError::Model {
                    path: self.path.join(CONFIG),
                    source,
                }
            })?;
        // The parameters, and room for a header that names them.
        let limit = 4 * model.summary().parameters() as u64 + (1 << 20);
        let bytes = read(&self.path, WEIGHTS, limit)?;
        model
            .load_safetensors(&bytes)
            .map_err(|source| RunError::Weights {
                path: self.path.join(WEIGHTS),
                source,
            })?;
        Ok(model)
    }
}

/// Reads a run's file, whose size is checked first.
fn read(folder: &Path, file: &'static str, limit: u64) -> Result<Vec<u8>, RunError> {
    let path = folder.join(file);
    let found = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(RunError::Missing {
                path: folder.to_owned(),
                file,
            });
        }
        Err(source) => return Err(RunError::Read { path, source }),
    };
    if found > limit {
        return Err(RunError::TooLong { path, limit, found });
    }
    fs::read(&path).map_err(|source| RunError::Read { path, source })
}

/// What a run's config says of the place that it ran at.
pub(crate) fn versions() -> Versions {
    Versions {
        seqfit: env!("CARGO_PKG_VERSION").to_owned(),
        libtorch: crate::libtorch::version(),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        processors: device::all_threads(),
    }
}
