//! A run folder: everything that one training run was made from and left behind.
//!
//! `config.toml` is written before training and read back by every later command, so that a shape
//! is never typed twice; `history.csv`, `model.safetensors` and `result.json` when training ends.

mod config;
mod error;

pub use config::{DataConfig, RunConfig, Versions};
pub use error::RunError;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::evaluate::Evaluation;
use crate::files;
use crate::model::{Sequential, Summary};
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
    /// The folder that takes this one's place once the run is finished.
    replaces: Option<PathBuf>,
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
        let &Evaluation { loss, accuracy, samples, .. } = evaluation;
        Self { loss, accuracy, samples }
    }
}

impl Run {
    /// Makes the folder and writes `config.toml`. With `force` a run that is there already stays as
    /// it is until [`finish`](Self::finish); the new one grows in `PATH.new`.
    ///
    /// # Errors
    /// A folder that holds something (unless `force` and it is a run), or that cannot be written.
    pub fn create(path: &Path, force: bool, config: RunConfig) -> Result<Self, RunError> {
        let (folder, replaces) = match Self::check_vacant(path, force)? {
            Vacancy::Free => (path.to_owned(), None),
            Vacancy::Replace => (beside(path, ".new"), Some(path.to_owned())),
        };
        if replaces.is_some() {
            // What a run that was interrupted in the same way has left.
            Self::check_vacant(&folder, true)?;
        }
        let prepare = |source| RunError::Prepare { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(prepare)?;
        for file in FILES {
            match fs::remove_file(folder.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(prepare(error));
                }
                _ => {}
            }
        }
        let text = config.to_toml()?;
        files::write(&folder.join(CONFIG), text.as_bytes())?;
        Ok(Self { path: folder, config, replaces })
    }

    /// As [`create`](Self::create), in a new folder of its own: `base`, or where that is taken
    /// `base-2`, `base-3` and so on.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_numbered(base: &Path, config: RunConfig) -> Result<Self, RunError> {
        let prepare = |source| RunError::Prepare { path: base.to_owned(), source };
        if let Some(parent) = base.parent() {
            fs::create_dir_all(parent).map_err(prepare)?;
        }
        let numbered = (2u32..).map(|n| beside(base, &format!("-{n}")));
        for path in std::iter::once(base.to_owned()).chain(numbered) {
            // Made here, so that of two processes one alone gets it.
            match fs::create_dir(&path) {
                Ok(()) => return Self::create(&path, false, config),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(prepare(error)),
            }
        }
        Err(prepare(io::ErrorKind::AlreadyExists.into()))
    }

    /// What [`create`](Self::create) would find; asked before long work. A run that never got
    /// beyond its config is no loss, and its place is free.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn check_vacant(path: &Path, force: bool) -> Result<Vacancy, RunError> {
        let prepare = |source| RunError::Prepare { path: path.to_owned(), source };
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vacancy::Free),
            entries => entries.map_err(prepare)?,
        };
        let names: Vec<_> = entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()
            .map_err(prepare)?;
        if names.is_empty() {
            return Ok(Vacancy::Free);
        }
        let is_run = Self::open(path).is_ok();
        if is_run && names == [CONFIG] {
            return Ok(Vacancy::Free);
        }
        match (force, is_run && names.iter().all(|name| FILES.iter().any(|file| name == file))) {
            (false, _) => Err(RunError::Exists(path.to_owned())),
            (true, true) => Ok(Vacancy::Replace),
            (true, false) => Err(RunError::NotARun(path.to_owned())),
        }
    }

    /// Opens a run that has begun.
    ///
    /// # Errors
    /// A folder without a config, or with one that is none.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let bytes = read(path, CONFIG, 0, 1 << 20)?;
        let config = RunConfig::from_toml(&bytes)
            .map_err(|message| RunError::Config { path: path.join(CONFIG), message })?;
        Ok(Self { path: path.to_owned(), config, replaces: None })
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
            .map_err(|source| RunError::Save { path: path.clone(), source })?;
        files::write(&path, &bytes)?;
        Ok(files::write(&self.path.join(HISTORY), history.to_csv().as_bytes())?)
    }

    /// Writes the final figures, and puts the run where it belongs if another is replaced.
    ///
    /// # Errors
    /// A file that cannot be written, or a folder that cannot be moved.
    pub fn finish(mut self, result: &RunResult) -> Result<Self, RunError> {
        let mut text = serde_json::to_string_pretty(result)
            .map_err(|e| RunError::Encode { file: RESULT, message: e.to_string() })?;
        text.push('\n');
        files::write(&self.path.join(RESULT), text.as_bytes())?;
        if let Some(place) = self.replaces.take() {
            let old = beside(&place, ".old");
            let prepare = |source| RunError::Prepare { path: place.clone(), source };
            fs::rename(&place, &old).map_err(prepare)?;
            fs::rename(&self.path, &place).map_err(prepare)?;
            fs::remove_dir_all(&old).map_err(prepare)?;
            self.path = place;
        }
        Ok(self)
    }

    /// The trained network, on `device`.
    ///
    /// # Errors
    /// A run without weights, weights that are not its network's, or a device that is not there.
    pub fn load_model(&self, device: Device) -> Result<Sequential, RunError> {
        let network = self.config.network.clone();
        let at_config = |source| RunError::Model { path: self.path.join(CONFIG), source };
        let summary = Summary::new(&network).map_err(|error| at_config(error.into()))?;
        // The parameters, and room for a header that names them: checked before memory is taken for
        // a network of that size.
        let parameters = 4 * summary.parameters() as u64;
        let bytes = read(&self.path, WEIGHTS, parameters, parameters + (1 << 20))?;
        let mut model =
            Sequential::from_spec(network, device, self.config.fit.seed).map_err(at_config)?;
        model
            .load_safetensors(&bytes)
            .map_err(|source| RunError::Weights { path: self.path.join(WEIGHTS), source })?;
        Ok(model)
    }

    /// Refuses a place for output that would overwrite what the run is made of; its `model.pt` may
    /// be written again.
    ///
    /// # Errors
    /// [`RunError::OwnFile`].
    pub fn check_output(&self, path: &Path) -> Result<(), RunError> {
        let own = FILES.iter().filter(|&&file| file != TORCHSCRIPT);
        let same = |file: &str| match (self.path.join(file).canonicalize(), path.canonicalize()) {
            (Ok(own), Ok(other)) => own == other,
            _ => false,
        };
        match own.clone().any(|file| same(file)) {
            true => Err(RunError::OwnFile(path.to_owned())),
            false => Ok(()),
        }
    }
}

/// What [`Run::check_vacant`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// Nothing that would be lost.
    Free,
    /// A run that is to be replaced.
    Replace,
}

/// `runs/a` and ".new" → `runs/a.new`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    // "." and ".." have no name of their own.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Reads a run's file, whose kind and size are checked first.
fn read(folder: &Path, file: &'static str, least: u64, most: u64) -> Result<Vec<u8>, RunError> {
    let path = folder.join(file);
    let missing = || RunError::Missing { path: folder.to_owned(), file };
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(),
        _ => RunError::Read { path: path.clone(), source },
    };
    let metadata = fs::metadata(&path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(RunError::NotAFile(path));
    }
    let size = |wanted: String, found: u64| {
        Err(RunError::Size { path: path.clone(), wanted, found: found.to_string() })
    };
    match metadata.len() {
        found if found > most => return size(format!("at most {most}"), found),
        found if found < least => return size(format!("at least {least}"), found),
        _ => {}
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may have grown since.
    File::open(&path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    Ok(bytes)
}
