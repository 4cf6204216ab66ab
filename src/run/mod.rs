//! A run folder: the inputs and the results of one training run.
//!
//! `config.toml` is written before training and read back by every later command, so that a shape is never
//! typed twice. `checkpoints/` and `history.csv` grow during training. `model.safetensors`, `model.pt` and
//! `result.json` are written at the end, and `report.html` and `plots/` present the run to people. Only one
//! process at a time writes to a run.

mod changed_setting;
mod check_output_dir;
mod checkpoint_file;
mod checkpoint_folder;
mod checkpoint_problem;
mod error;
mod export_names;
mod export_paths;
mod find_near_run;
mod folder_layout;
mod folder_lock;
mod load_network;
mod model_card;
mod model_checkpoint;
mod near_run;
mod read_checkpoints;
mod replace_run;
mod run_config;
mod run_identity;
mod run_result;
mod save_results;
mod weights_origin;

/// A checkpoint: a snapshot of a training run as one safetensors file with a checksum inside.
pub mod checkpoint {
    pub use crate::run::checkpoint_file::{Checkpoint, CheckpointError};
}
/// The checkpoint folder of a run, and its files.
pub mod checkpoints {
    pub use crate::run::checkpoint_folder::{
        BEST, Candidate, Damaged, Place, Problem, list, name, read,
    };
}

pub use crate::evaluate::Figures;
pub use check_output_dir::OutputDirState;
pub use checkpoint_file::{Checkpoint, CheckpointError};
pub use error::RunError;
pub use folder_layout::{
    CONFIG, EVENTS, HISTORY, PLOTS, REPORT, RESULT, RUNS, TORCHSCRIPT, WEIGHTS,
};
pub use model_checkpoint::{CheckpointFailure, ModelCheckpoint};
pub use near_run::NearRun;
pub use run_config::{CallbackConfig, CheckpointConfig, DataConfig, RunConfig, Versions};
pub use run_identity::{Difference, Identity};
pub use run_result::RunResult;
pub use weights_origin::Origin;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use checkpoint_folder::{Candidate, Damaged};
use folder_layout::{CHECKPOINTS, read};
use folder_lock::Lock;
use replace_run::Replacement;

use crate::atomic_files;
use crate::train::History;

/// A run folder on disk.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    config: RunConfig,
    /// The path that this folder moves to when the run is finished.
    replaces: Option<Replacement>,
    /// Held by the process that writes.
    lock: Option<Lock>,
}

impl Run {
    /// Creates the folder and writes `config.toml`. With `force`, an existing run stays as it is, locked
    /// against other writers, until [`finish`](Self::finish); the new one is written to `PATH.new`.
    ///
    /// # Errors
    /// A folder that is not empty (unless `force` is set and it is a run), or that cannot be written to.
    pub fn create(path: &Path, force: bool, config: RunConfig) -> Result<Self, RunError> {
        let (folder, replaces) = match Self::check_vacant(path, force)? {
            OutputDirState::Free => (path.to_owned(), None),
            OutputDirState::Replace => {
                let (replaces, folder) = Replacement::begin(path)?;
                (folder, Some(replaces))
            }
        };
        // Nothing is left of a run that cannot begin.
        Self::begin(folder.clone(), replaces, config)
            .inspect_err(|_| _ = Self::remove_unused(&folder))
    }

    /// Makes the folder a run's that did not train yet.
    fn begin(
        folder: PathBuf,
        replaces: Option<Replacement>,
        config: RunConfig,
    ) -> Result<Self, RunError> {
        let prepare = |source| RunError::Prepare { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(prepare)?;
        let lock = Lock::take(&folder)?;
        // Checked again now that no other process writes here.
        Self::check_vacant(&folder, false)?;
        check_output_dir::clear(&folder).map_err(prepare)?;
        if let Some(replaces) = &replaces {
            replaces.mark(&folder)?;
        }
        let text = config.to_toml()?;
        atomic_files::write(&folder.join(CONFIG), text.as_bytes())?;
        Ok(Self { path: folder, config, replaces, lock: Some(lock) })
    }

    /// Like [`create`](Self::create), but in a new folder: `base` or, if that is taken, `base-2`, `base-3`
    /// and so on.
    ///
    /// # Errors
    /// Like [`create`](Self::create).
    pub fn create_numbered(base: &Path, config: RunConfig) -> Result<Self, RunError> {
        let prepare = |source| RunError::Prepare { path: base.to_owned(), source };
        if let Some(parent) = base.parent() {
            fs::create_dir_all(parent).map_err(prepare)?;
        }
        let path = folder_layout::create_folder(base, |_| false).map_err(prepare)?;
        Self::create(&path, false, config)
    }

    /// Checks what [`create`](Self::create) would find, before long work. A run that never got beyond its
    /// config is no loss, so its folder counts as free.
    ///
    /// # Errors
    /// Like [`create`](Self::create).
    pub fn check_vacant(path: &Path, force: bool) -> Result<OutputDirState, RunError> {
        check_output_dir::check_vacant(path, force)
    }

    /// Removes the folder of a run that never got beyond its config: a training that failed before its first
    /// checkpoint. One with anything else in it, or to which another process writes, stays. Returns whether it is gone.
    pub fn remove_unused(path: &Path) -> bool {
        let is_unused = || matches!(Self::check_vacant(path, false), Ok(OutputDirState::Free));
        if !path.is_dir() || !is_unused() {
            return false;
        }
        let Ok(lock) = Lock::take(path) else { return false };
        // Checked again now that no other process writes there.
        let cleared = is_unused() && check_output_dir::clear(path).is_ok();
        drop(lock);
        cleared && fs::remove_dir(path).is_ok()
    }

    /// Returns the path of the run that this one replaces when it is finished.
    pub fn replaced(&self) -> Option<&Path> {
        self.replaces.as_ref().map(Replacement::place)
    }

    /// Opens an existing run.
    ///
    /// # Errors
    /// A folder without a config, or with an invalid one. The error for a path without a run names one near it.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let config = RunConfig::read(path).map_err(|error| match error {
            RunError::Missing { .. } => no_run(path),
            error => error,
        })?;
        Ok(Self { path: path.to_owned(), config, replaces: None, lock: None })
    }

    /// Opens a run to resume it: no other process may write to it from then on.
    ///
    /// # Errors
    /// Like [`open`](Self::open), or another process writes to it.
    pub fn resume(path: &Path) -> Result<Self, RunError> {
        let opened = Self::open(path)?;
        if opened.config.is_imported() {
            return Err(RunError::Imported(path.to_owned()));
        }
        let lock = Some(Lock::take(path)?);
        checkpoint_folder::sweep(path)
            .map_err(|source| RunError::Prepare { path: path.to_owned(), source })?;
        Ok(Self { lock, replaces: Replacement::read(path)?, ..opened })
    }

    /// Changes the run's config; everything that determines its outcome must stay the same.
    ///
    /// # Errors
    /// [`RunError::Changed`] with every difference; [`RunError::Write`] if the file cannot be written: the
    /// config is changed anyway for as long as this value lives.
    pub fn set_config(&mut self, config: RunConfig) -> Result<(), RunError> {
        self.check_config(&config)?;
        if config == self.config {
            return Ok(());
        }
        let text = config.to_toml()?;
        self.config = config;
        self.write(CONFIG, text.as_bytes())
    }

    /// Checks that `config` agrees with the run's in everything that determines its outcome.
    ///
    /// # Errors
    /// [`RunError::Changed`] with every difference.
    pub fn check_config(&self, config: &RunConfig) -> Result<(), RunError> {
        self.check_same(&self.identity()?, &Self::identity_of(config)?)
    }

    /// Returns the final metrics, if the run is finished and they can be read.
    pub fn result(&self) -> Option<RunResult> {
        let bytes = read(&self.path, RESULT, 0, 1 << 20).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Returns the records of the epochs so far; none if nothing was written yet.
    ///
    /// # Errors
    /// A file that cannot be read, or is not a history.
    pub fn history(&self) -> Result<History, RunError> {
        let bytes = match read(&self.path, HISTORY, 0, 1 << 28) {
            Err(RunError::Missing { .. }) => return Ok(History::default()),
            read => read?,
        };
        let text = String::from_utf8_lossy(&bytes);
        History::from_csv(&text)
            .map_err(|message| RunError::History { path: self.path.join(HISTORY), message })
    }

    /// Writes a file that can be regenerated from others; on a full disk no space is freed for it.
    ///
    /// # Errors
    /// A folder that cannot be created, or a file that cannot be written.
    #[cfg(feature = "report")]
    pub(crate) fn write_view(&self, file: &Path, bytes: &[u8]) -> Result<PathBuf, RunError> {
        let path = self.path.join(file);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            let prepare = |source| RunError::Prepare { path: folder.to_owned(), source };
            fs::create_dir(folder).map_err(prepare)?;
        }
        atomic_files::write(&path, bytes)?;
        Ok(path)
    }

    /// Returns the folder of the checkpoints.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join(CHECKPOINTS)
    }

    /// Returns everything that determines the run's outcome.
    ///
    /// # Errors
    /// A config that cannot be compared, which does not happen with ours.
    pub fn identity(&self) -> Result<Identity, RunError> {
        Self::identity_of(&self.config)
    }

    fn identity_of(config: &RunConfig) -> Result<Identity, RunError> {
        Identity::of(config).map_err(|e| RunError::Encode { file: CONFIG, message: e.to_string() })
    }

    fn check_same(&self, began: &Identity, now: &Identity) -> Result<(), RunError> {
        match began.differences(now) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(RunError::Changed { path: self.path.clone(), differences }),
        }
    }

    /// Returns the run's folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the run's config.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Returns the config in the format of `config.toml`.
    #[cfg(feature = "report")]
    pub(crate) fn config_text(&self) -> String {
        self.config.to_toml().unwrap_or_default()
    }
}

/// Returns the error for a path that is not the folder of a run.
fn no_run(path: &Path) -> RunError {
    let (path, near) = (path.to_owned(), find_near_run::nearest(path));
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => RunError::NotThere { path, near },
        Ok(found) if !found.is_dir() => RunError::NotARunFolder { path, why: "it is a file", near },
        _ => RunError::NotARunFolder { path, why: "config.toml is missing", near },
    }
}
