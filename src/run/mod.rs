//! A run folder: everything that one training run was made from and left behind.
//!
//! `config.toml` is written before training and read back by every later command, so that a shape
//! is never typed twice; `checkpoints/` and `history.csv` grow while it trains; `model.safetensors`,
//! `model.pt` and `result.json` come when it ends; `report.html` and `plots/` show it to people. One process at a time writes into a run.

mod card;
pub mod checkpoint;
pub mod checkpoints;
mod config;
mod error;
mod exports;
mod identity;
mod lock;
mod model_checkpoint;
mod origin;
mod output_dir;
mod replacement;
mod result;

pub use crate::evaluate::Figures;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use config::{CallbackConfig, CheckpointConfig, DataConfig, RunConfig, Versions};
pub use error::RunError;
pub use identity::{Difference, Identity};
pub use model_checkpoint::{CheckpointFailure, ModelCheckpoint};
pub use origin::Origin;
pub use output_dir::OutputDirState;
pub use result::RunResult;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use checkpoints::{Candidate, Damaged};
use lock::Lock;
use replacement::Replacement;

use crate::device::Device;
use crate::export::{self, Format, Options};
use crate::files;
use crate::model::{Sequential, Summary};
use crate::train::{History, Snapshot, SnapshotError};

/// The names of a run's files.
pub const CONFIG: &str = "config.toml";
/// The records of the epochs.
pub const HISTORY: &str = "history.csv";
/// The trained parameters.
pub const WEIGHTS: &str = "model.safetensors";
/// The network for Python and C++, with its card.
pub const TORCHSCRIPT: &str = "model.pt";
/// The final figures.
pub const RESULT: &str = "result.json";

/// The page about the run.
pub const REPORT: &str = "report.html";
/// The folder of the page's plots, each a PNG and most of them an SVG, too.
pub const PLOTS: &str = "plots";
/// The folder of TensorBoard's event files.
pub const EVENTS: &str = "tensorboard";

const FILES: [&str; 6] = [CONFIG, HISTORY, WEIGHTS, TORCHSCRIPT, RESULT, REPORT];

/// A run folder on disk.
#[derive(Debug)]
pub struct Run {
    path: PathBuf,
    config: RunConfig,
    /// The place that this folder takes once the run is finished.
    replaces: Option<Replacement>,
    /// Held by the process that writes.
    lock: Option<Lock>,
}

impl Run {
    /// Makes the folder and writes `config.toml`. With `force` a run that is there already stays as
    /// it is until [`finish`](Self::finish), and nobody else writes into it; the new one grows in
    /// `PATH.new`.
    ///
    /// # Errors
    /// A folder that holds something (unless `force` and it is a run), or that cannot be written.
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
        // Now that nobody else writes here: is it still as it was?
        Self::check_vacant(&folder, false)?;
        Self::clear(&folder).map_err(prepare)?;
        if let Some(replaces) = &replaces {
            replaces.mark(&folder)?;
        }
        let text = config.to_toml()?;
        files::write(&folder.join(CONFIG), text.as_bytes())?;
        Ok(Self { path: folder, config, replaces, lock: Some(lock) })
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

    /// Opens a run that has begun.
    ///
    /// # Errors
    /// A folder without a config, or with one that is none.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        let bytes = read(path, CONFIG, 0, 1 << 20)?;
        let config = RunConfig::from_toml(&bytes)
            .map_err(|message| RunError::Config { path: path.join(CONFIG), message })?;
        Ok(Self { path: path.to_owned(), config, replaces: None, lock: None })
    }

    /// Opens a run to go on with it: nobody else may write into it from here on.
    ///
    /// # Errors
    /// As [`open`](Self::open), or another process that writes into it.
    pub fn resume(path: &Path) -> Result<Self, RunError> {
        let opened = Self::open(path)?;
        if opened.config.is_imported() {
            return Err(RunError::Imported(path.to_owned()));
        }
        let lock = Some(Lock::take(path)?);
        checkpoints::sweep(path)
            .map_err(|source| RunError::Prepare { path: path.to_owned(), source })?;
        Ok(Self { lock, replaces: Replacement::read(path)?, ..opened })
    }

    /// Changes the run's config; what decides where the run ends must be as it was.
    ///
    /// # Errors
    /// [`RunError::Changed`] with every difference; [`RunError::Write`] if the file cannot be written:
    /// then the config is changed all the same, for as long as this lives.
    pub fn set_config(&mut self, config: RunConfig) -> Result<(), RunError> {
        self.check_config(&config)?;
        if config == self.config {
            return Ok(());
        }
        let text = config.to_toml()?;
        self.config = config;
        self.write(CONFIG, text.as_bytes())
    }

    /// Checks that `config` says the same as the run's of everything that decides where it ends.
    ///
    /// # Errors
    /// [`RunError::Changed`] with every difference.
    pub fn check_config(&self, config: &RunConfig) -> Result<(), RunError> {
        self.check_same(&self.identity()?, &Self::identity_of(config)?)
    }

    /// The final figures, if the run has come to an end and they can be read.
    pub fn result(&self) -> Option<RunResult> {
        let bytes = read(&self.path, RESULT, 0, 1 << 20).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The records of the epochs so far; none where nothing was written yet.
    ///
    /// # Errors
    /// A file that cannot be read, or is no history.
    pub fn history(&self) -> Result<History, RunError> {
        let bytes = match read(&self.path, HISTORY, 0, 1 << 28) {
            Err(RunError::Missing { .. }) => return Ok(History::default()),
            read => read?,
        };
        let text = String::from_utf8_lossy(&bytes);
        History::from_csv(&text)
            .map_err(|message| RunError::History { path: self.path.join(HISTORY), message })
    }

    /// Writes a file that others can be made of again: on a full disk nothing makes room for it.
    ///
    /// # Errors
    /// A folder that cannot be made, or a file that cannot be written.
    pub(crate) fn write_view(&self, file: &Path, bytes: &[u8]) -> Result<PathBuf, RunError> {
        let path = self.path.join(file);
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            let prepare = |source| RunError::Prepare { path: folder.to_owned(), source };
            fs::create_dir(folder).map_err(prepare)?;
        }
        files::write(&path, bytes)?;
        Ok(path)
    }

    /// The newest whole checkpoint, or the best one if there is no other, and those that are damaged,
    /// which are put aside.
    ///
    /// # Errors
    /// [`RunError::Foreign`] for a checkpoint of other settings or data than the config's, or a folder
    /// that cannot be read or changed. Nothing is put aside then.
    pub fn newest_checkpoint(&self) -> Result<(Option<Candidate>, Vec<Damaged>), RunError> {
        self.newest_that_fits::<RunError>(|_| Ok(Ok(())))
    }

    /// As [`newest_checkpoint`](Self::newest_checkpoint), among those that `fits` says yes to; the others
    /// are put aside, too, if there is such a one.
    ///
    /// # Errors
    /// As [`newest_checkpoint`](Self::newest_checkpoint); `fits`'s own; [`RunError::Checkpoint`] for the
    /// newest whole one if none fits.
    pub fn newest_that_fits<E: From<RunError>>(
        &self,
        mut fits: impl FnMut(&Snapshot) -> Result<Result<(), SnapshotError>, E>,
    ) -> Result<(Option<Candidate>, Vec<Damaged>), E> {
        let folder = self.checkpoints_path();
        let unreadable = |source| RunError::Read { path: folder.clone(), source };
        let (mut found, mut aside, mut unfit) = (None, Vec::new(), None);
        for path in checkpoints::candidates(&folder).map_err(unreadable)? {
            let checkpoint = match checkpoints::read(&path) {
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
        // Without one that fits those that do not are all there is.
        if let (None, Some(newest)) = (&found, unfit) {
            let (path, source) = aside.swap_remove(newest);
            return Err(RunError::Checkpoint { path, source }.into());
        }
        let aside = aside.into_iter().map(|(path, problem)| checkpoints::quarantine(path, problem));
        Ok((found, aside.collect::<Result<_, _>>()?))
    }

    fn check_own(&self, path: &Path, checkpoint: &Checkpoint) -> Result<(), RunError> {
        match checkpoint.identity.differences(&self.identity()?) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(RunError::Foreign { path: path.to_owned(), differences }),
        }
    }

    /// The folder of the checkpoints.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join(checkpoints::FOLDER)
    }

    /// What decides where the run ends.
    ///
    /// # Errors
    /// A config that cannot be compared, which none of ours is.
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

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run was made from.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The config as `config.toml` has it.
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

    /// Writes the parameters and the network for Python: all that an imported network has.
    ///
    /// # Errors
    /// As [`save`](Self::save).
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
        let card = card::card(&self.config, result)?;
        let network = export::encode(model, Format::TorchScript, &card, Options::default());
        let network = network
            .map_err(|source| RunError::Export { path: self.path.join(TORCHSCRIPT), source })?;
        self.write(TORCHSCRIPT, &network)
    }

    /// On a disk that is full the newest checkpoint stays, and the older ones make room. A folder that
    /// somebody has taken away is made again, so that what was trained is not lost.
    fn write(&self, file: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(file);
        let folder = self.checkpoints_path();
        if !self.path.exists() {
            let prepare = |source| RunError::Prepare { path: self.path.clone(), source };
            fs::create_dir_all(&self.path).map_err(prepare)?;
            files::write(&self.path.join(CONFIG), self.config.to_toml()?.as_bytes())?;
        }
        Ok(checkpoints::retry_after_pruning(&folder, || files::write(&path, bytes))?)
    }

    /// Writes the network for Python, whose card has the final figures, and those; and puts the run
    /// where it belongs if another is replaced.
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

    /// Puts a finished run where it belongs, if another is replaced.
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

    /// The newest checkpoint, if the run has gone on since [`result`](Self::result) was written.
    pub fn newer_checkpoint(&self) -> Option<PathBuf> {
        let result = self.result()?;
        let (place, path) = checkpoints::list(&self.checkpoints_path()).ok()?.pop()?;
        (place > (result.epochs, result.batch)).then_some(path)
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
        let begun = || self.checkpoints_path().is_dir() || self.path.join(lock::FILE).exists();
        let bytes = match read(&self.path, WEIGHTS, parameters, parameters + (1 << 20)) {
            Err(RunError::Missing { .. }) if begun() => {
                return Err(RunError::Unfinished(self.path.clone()));
            }
            read => read?,
        };
        let mut model =
            Sequential::from_spec(network, device, self.config.fit.seed).map_err(at_config)?;
        model
            .load_safetensors(&bytes)
            .map_err(|source| RunError::Weights { path: self.path.join(WEIGHTS), source })?;
        Ok(model)
    }

    /// What a run that begins with this one's weights says of them.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn origin(&self) -> Result<Origin, RunError> {
        Origin::of(&self.path.join(WEIGHTS), "safetensors")
    }

    /// The network of a checkpoint of this run, on `device`.
    ///
    /// # Errors
    /// A file that is no whole checkpoint, or one of another network; a device that is not there.
    pub fn load_checkpoint(&self, path: &Path, device: Device) -> Result<Sequential, RunError> {
        let checkpoint = checkpoints::read(path)
            .map_err(|source| RunError::Checkpoint { path: path.to_owned(), source })?;
        self.check_own(path, &checkpoint)?;
        let network = self.config.network.clone();
        let mut model = Sequential::from_spec(network, device, self.config.fit.seed)
            .map_err(|source| RunError::Model { path: self.path.join(CONFIG), source })?;
        model
            .set_weights(checkpoint.snapshot.best_weights())
            .map_err(|source| RunError::Weights { path: path.to_owned(), source })?;
        Ok(model)
    }

    /// Refuses a place for output that would overwrite what the run is made of; its `model.pt` may
    /// be written again.
    ///
    /// # Errors
    /// [`RunError::OwnFile`].
    pub fn check_output(&self, path: &Path) -> Result<(), RunError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let again = Path::new(TORCHSCRIPT);
        // The file may be a link, and may not be there yet.
        let real = |path: &Path| path.canonicalize().ok();
        let target = real(path).or_else(|| Some(real(folder)?.join(path.file_name()?)));
        let Some(target) = target else { return Ok(()) };
        let own = |run: &Path| {
            let Some(run) = real(run) else { return false };
            let Ok(inside) = target.strip_prefix(&run) else { return false };
            let known = FILES.iter().chain(&[lock::FILE, replacement::MARKER]);
            inside.starts_with(checkpoints::FOLDER)
                || inside.starts_with(PLOTS)
                || inside.starts_with(EVENTS)
                || known.into_iter().any(|name| inside == Path::new(name) && inside != again)
        };
        // What is to be replaced stays as it is until then, and goes with everything in it.
        let replaced = self.replaces.as_ref().and_then(|replaces| real(replaces.place()));
        let in_replaced = replaced.is_some_and(|place| target.starts_with(place));
        match own(&self.path) || in_replaced {
            true => Err(RunError::OwnFile(path.to_owned())),
            false => Ok(()),
        }
    }
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
