//! A run folder: the inputs and the results of one training run.
//!
//! `config.toml` is written before training and read back by every later command, so that a shape is never
//! typed twice. `checkpoints/` and `history.csv` grow during training. `model.safetensors`, `model.pt` and
//! `result.json` are written at the end, and `report.html` and `plots/` present the run to people. Only one
//! process at a time writes to a run.

mod checkpoint_file;
mod checkpoint_folder;
mod checkpoint_problem;
mod config;
mod error;
mod export_names;
mod folder_layout;
mod identity;
mod lock;
mod model_card;
mod model_checkpoint;
mod output_dir;
mod replacement;
mod result;
mod run_suggestion;
mod setting_difference;
mod suggest_run;
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
pub use checkpoint_file::{Checkpoint, CheckpointError};
pub use config::{CallbackConfig, CheckpointConfig, DataConfig, RunConfig, Versions};
pub use error::RunError;
pub use folder_layout::{
    CONFIG, EVENTS, HISTORY, PLOTS, REPORT, RESULT, RUNS, TORCHSCRIPT, WEIGHTS,
};
pub use identity::{Difference, Identity};
pub use model_checkpoint::{CheckpointFailure, ModelCheckpoint};
pub use output_dir::OutputDirState;
pub use result::RunResult;
pub use run_suggestion::NearRun;
pub use weights_origin::Origin;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use checkpoint_folder::{Candidate, Damaged};
use folder_layout::{CHECKPOINTS, FILES, MARKER, read};
use lock::Lock;
use replacement::Replacement;

use crate::atomic_files;
use crate::device::Device;
use crate::export::{self, Format, Options};
use crate::model::{Sequential, Summary};
use crate::train::{History, Snapshot, SnapshotError};

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
        let prepare = |source| RunError::Prepare { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(prepare)?;
        let lock = Lock::take(&folder)?;
        // Checked again now that no other process writes here.
        Self::check_vacant(&folder, false)?;
        output_dir::clear(&folder).map_err(prepare)?;
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
        output_dir::check_vacant(path, force)
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

    /// Returns the newest intact checkpoint, or the best one if there is no other, and the damaged ones, which
    /// are quarantined.
    ///
    /// # Errors
    /// [`RunError::Foreign`] for a checkpoint of other settings or data than the config's, or a folder that
    /// cannot be read or changed. Nothing is quarantined then.
    pub fn newest_checkpoint(&self) -> Result<(Option<Candidate>, Vec<Damaged>), RunError> {
        self.newest_that_fits::<RunError>(|_| Ok(Ok(())))
    }

    /// Like [`newest_checkpoint`](Self::newest_checkpoint), but only among those that `fits` accepts. If one
    /// is accepted, the rejected ones are quarantined, too.
    ///
    /// # Errors
    /// Like [`newest_checkpoint`](Self::newest_checkpoint); the errors of `fits`; [`RunError::Checkpoint`]
    /// for the newest intact checkpoint if none fits.
    pub fn newest_that_fits<E: From<RunError>>(
        &self,
        mut fits: impl FnMut(&Snapshot) -> Result<Result<(), SnapshotError>, E>,
    ) -> Result<(Option<Candidate>, Vec<Damaged>), E> {
        let folder = self.checkpoints_path();
        let unreadable = |source| RunError::Read { path: folder.clone(), source };
        let (mut found, mut aside, mut unfit) = (None, Vec::new(), None);
        for path in checkpoint_folder::candidates(&folder).map_err(unreadable)? {
            let checkpoint = match checkpoint_folder::read(&path) {
                Ok(checkpoint) => checkpoint,
                Err(problem) if problem.is_transient() => {
                    return Err(RunError::Checkpoint { path, source: problem }.into());
                }
                Err(problem) => {
                    aside.push((path, problem));
                    continue;
                }
            };
            self.check_own(&path, &checkpoint)?;
            match fits(&checkpoint.snapshot)? {
                Ok(()) => {
                    found = Some(Candidate { path, checkpoint });
                    break;
                }
                Err(problem) => {
                    unfit.get_or_insert(aside.len());
                    aside.push((path, problem.into()));
                }
            }
        }
        // If none fits, the rejected ones are all there is, and stay.
        if let (None, Some(newest)) = (&found, unfit) {
            let (path, source) = aside.swap_remove(newest);
            return Err(RunError::Checkpoint { path, source }.into());
        }
        let aside =
            aside.into_iter().map(|(path, problem)| checkpoint_folder::quarantine(path, problem));
        Ok((found, aside.collect::<Result<_, _>>()?))
    }

    fn check_own(&self, path: &Path, checkpoint: &Checkpoint) -> Result<(), RunError> {
        match checkpoint.identity.differences(&self.identity()?) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(RunError::Foreign { path: path.to_owned(), differences }),
        }
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

    /// Writes the trained parameters and the history.
    ///
    /// # Errors
    /// Parameters that are not finite, or files that cannot be written.
    pub fn save(&self, model: &Sequential, history: &History) -> Result<(), RunError> {
        self.save_weights(model)?;
        self.write(HISTORY, history.to_csv().as_bytes())
    }

    /// Writes the parameters and the network for Python, the only results of an imported network.
    ///
    /// # Errors
    /// Like [`save`](Self::save).
    pub fn save_network(&self, model: &Sequential) -> Result<(), RunError> {
        self.save_weights(model)?;
        self.save_torchscript(model, None)
    }

    fn save_weights(&self, model: &Sequential) -> Result<(), RunError> {
        let path = self.path.join(WEIGHTS);
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let weights =
            model.to_safetensors(metadata).map_err(|source| RunError::Save { path, source })?;
        self.write(WEIGHTS, &weights)
    }

    fn save_torchscript(
        &self,
        model: &Sequential,
        result: Option<&RunResult>,
    ) -> Result<(), RunError> {
        let card = self.card_with(result)?;
        let network = export::encode(model, Format::TorchScript, &card, Options::default());
        let network = network
            .map_err(|source| RunError::Export { path: self.path.join(TORCHSCRIPT), source })?;
        self.write(TORCHSCRIPT, &network)
    }

    /// On a full disk, the older checkpoints are removed to free space and the newest stays. A folder that
    /// has been removed meanwhile is created again, so that the trained weights are not lost.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(file);
        let folder = self.checkpoints_path();
        if !self.path.exists() {
            let prepare = |source| RunError::Prepare { path: self.path.clone(), source };
            fs::create_dir_all(&self.path).map_err(prepare)?;
            atomic_files::write(&self.path.join(CONFIG), self.config.to_toml()?.as_bytes())?;
        }
        Ok(checkpoint_folder::retry_after_pruning(&folder, || atomic_files::write(&path, bytes))?)
    }

    /// Writes the network for Python, with the final metrics in its card, and the result. Then moves the run
    /// to its final path if it replaces another.
    ///
    /// # Errors
    /// A file that cannot be written, or a folder that cannot be moved.
    pub fn finish(self, model: &Sequential, result: &RunResult) -> Result<Self, RunError> {
        self.save_torchscript(model, Some(result))?;
        let mut text = serde_json::to_string_pretty(result)
            .map_err(|e| RunError::Encode { file: RESULT, message: e.to_string() })?;
        text.push('\n');
        self.write(RESULT, text.as_bytes())?;
        self.settle()
    }

    /// Moves a finished run to its final path if it replaces another.
    ///
    /// # Errors
    /// A folder that cannot be moved.
    pub fn settle(mut self) -> Result<Self, RunError> {
        if let Some(replaces) = self.replaces.take() {
            let place = replaces.finish(&self.path)?;
            if let Some(lock) = &mut self.lock {
                lock.moved_to(&place);
            }
            self.path = place;
        }
        Ok(self)
    }

    /// Returns the newest checkpoint if the run has continued since [`result`](Self::result) was written.
    pub fn newer_checkpoint(&self) -> Option<PathBuf> {
        let result = self.result()?;
        let (place, path) = checkpoint_folder::list(&self.checkpoints_path()).ok()?.pop()?;
        (place > (result.epochs, result.batch)).then_some(path)
    }

    /// Loads the trained network onto `device`.
    ///
    /// # Errors
    /// A run without weights, weights that do not match its network, or a device that does not exist.
    pub fn load_model(&self, device: Device) -> Result<Sequential, RunError> {
        let network = self.config.network.clone();
        let at_config = |source| RunError::Model { path: self.path.join(CONFIG), source };
        let summary = Summary::new(&network).map_err(|error| at_config(error.into()))?;
        // The parameters, plus space for a header that names them: checked before memory is allocated for a
        // network of that size.
        let parameters = 4 * summary.parameters() as u64;
        self.weights_path()?;
        let bytes = read(&self.path, WEIGHTS, parameters, parameters + (1 << 20))?;
        let mut model =
            Sequential::from_spec(network, device, self.config.fit.seed).map_err(at_config)?;
        model
            .load_safetensors(&bytes)
            .map_err(|source| RunError::Weights { path: self.path.join(WEIGHTS), source })?;
        Ok(model)
    }

    /// Returns the path of the trained parameters.
    ///
    /// # Errors
    /// A run that is not finished, or whose weights are missing.
    pub fn weights_path(&self) -> Result<PathBuf, RunError> {
        let path = self.path.join(WEIGHTS);
        let begun = || self.checkpoints_path().is_dir() || self.path.join(lock::FILE).exists();
        match path.try_exists() {
            Ok(false) if begun() => Err(RunError::Unfinished(self.path.clone())),
            Ok(false) => Err(RunError::Missing { path: self.path.clone(), file: WEIGHTS }),
            // An error is found again when it is read.
            Ok(true) | Err(_) => Ok(path),
        }
    }

    /// Describes this run's weights as the origin of a run that starts from them.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn origin(&self) -> Result<Origin, RunError> {
        Origin::of(&self.path.join(WEIGHTS), "safetensors")
    }

    /// Loads the network of a checkpoint of this run onto `device`.
    ///
    /// # Errors
    /// A file that is not an intact checkpoint, or one of another network; a device that does not exist.
    pub fn load_checkpoint(&self, path: &Path, device: Device) -> Result<Sequential, RunError> {
        let checkpoint = checkpoint_folder::read(path)
            .map_err(|source| RunError::Checkpoint { path: path.to_owned(), source })?;
        self.check_own(path, &checkpoint)?;
        let network = self.config.network.clone();
        let mut model = Sequential::from_spec(network, device, self.config.fit.seed)
            .map_err(|source| RunError::Model { path: self.path.join(CONFIG), source })?;
        model
            .set_weights(&checkpoint.snapshot.best_weights())
            .map_err(|source| RunError::Weights { path: path.to_owned(), source })?;
        Ok(model)
    }

    /// Returns the default path of an export: `model.onnx` in the run's folder, or
    /// `model.best.preprocessing.half.onnx`. `checkpoint` is "last" or "best" for weights other than the
    /// final ones.
    pub fn export_path(
        &self,
        format: Format,
        options: Options,
        checkpoint: Option<&str>,
    ) -> PathBuf {
        self.path.join(export_names::name(format, options, checkpoint))
    }

    /// Refuses an output path that would overwrite one of the run's own files; its `model.pt` may be written
    /// again.
    ///
    /// # Errors
    /// [`RunError::OwnFile`].
    pub fn check_output(&self, path: &Path) -> Result<(), RunError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let again = Path::new(TORCHSCRIPT);
        // The file may be a link, or may not exist yet.
        let real = |path: &Path| path.canonicalize().ok();
        let target = real(path).or_else(|| Some(real(folder)?.join(path.file_name()?)));
        let Some(target) = target else { return Ok(()) };
        let own = |run: &Path| {
            let Some(run) = real(run) else { return false };
            let Ok(inside) = target.strip_prefix(&run) else { return false };
            let known = FILES.iter().chain(&[lock::FILE, MARKER]);
            inside.starts_with(CHECKPOINTS)
                || inside.starts_with(PLOTS)
                || inside.starts_with(EVENTS)
                || known.into_iter().any(|name| inside == Path::new(name) && inside != again)
        };
        // The run to be replaced stays as it is until then, and is removed with everything in it.
        let replaced = self.replaces.as_ref().and_then(|replaces| real(replaces.place()));
        let in_replaced = replaced.is_some_and(|place| target.starts_with(place));
        match own(&self.path) || in_replaced {
            true => Err(RunError::OwnFile(path.to_owned())),
            false => Ok(()),
        }
    }
}

/// Returns the error for a path that is not the folder of a run.
fn no_run(path: &Path) -> RunError {
    let (path, near) = (path.to_owned(), suggest_run::nearest(path));
    match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => RunError::NotThere { path, near },
        Ok(found) if !found.is_dir() => RunError::NotARunFolder { path, why: "it is a file", near },
        _ => RunError::NotARunFolder { path, why: "config.toml is missing", near },
    }
}
