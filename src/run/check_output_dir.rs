//! Checks whether a folder may become a run's: nothing worth keeping is ever overwritten.

use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::error::RunError;
use super::folder_layout::{CHECKPOINTS, EVENTS, FILES, MARKER, PLOTS, REPLACED, RESULT, WEIGHTS};
use super::folder_lock::{self, Lock};
use super::run_config::RunConfig;
use super::{checkpoint_folder, export_names};
use crate::atomic_files;

/// The result of [`Run::check_vacant`](super::Run::check_vacant).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputDirState {
    /// It holds nothing that would be lost.
    Free,
    /// It holds a run that is to be replaced.
    Replace,
}

/// See [`Run::check_vacant`](super::Run::check_vacant).
pub(super) fn check_vacant(path: &Path, force: bool) -> Result<OutputDirState, RunError> {
    let prepare = |source| RunError::Prepare { path: path.to_owned(), source };
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(OutputDirState::Free),
        entries => entries.map_err(prepare)?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    let mut names = names.map_err(prepare)?;
    names.sort();
    // Left by a process that is killed right after its start.
    let passing = |name: &OsString| {
        (name == folder_lock::FILE && Lock::is_one(&path.join(name)))
            || name == MARKER
            || atomic_files::is_temporary(Path::new(name))
    };
    let of_a_run = |name: &OsString| {
        let inside = path.join(name);
        let folder = name == CHECKPOINTS
            || name == PLOTS && all(&inside, &is_plot).unwrap_or(false)
            || name == EVENTS && all(&inside, &holds_events).unwrap_or(false)
            || name == REPLACED && check_vacant(&inside, true).is_ok();
        passing(name)
            || folder
            || export_names::is_one(name)
            || FILES.iter().any(|file| name == file)
    };
    // A folder of a run's files without its config is foreign, too: some other program's.
    let foreign = || match names.iter().find(|name| !of_a_run(name)) {
        None if RunConfig::read(path).is_ok() => None,
        None => names.iter().find(|name| !passing(name)),
        found => found,
    };
    let foreign = foreign().map(|name| name.to_string_lossy().into_owned());
    let results = [WEIGHTS, RESULT, REPLACED];
    let is_result =
        |name: &OsString| export_names::is_one(name) || results.iter().any(|r| name == r);
    let has_results = || -> io::Result<bool> {
        Ok(names.iter().any(is_result) || !checkpoint_folder::is_empty(&path.join(CHECKPOINTS))?)
    };
    if names.iter().all(passing) {
        return Ok(OutputDirState::Free);
    }
    let path = path.to_owned();
    match (force, foreign) {
        (_, None) if !has_results().map_err(prepare)? => Ok(OutputDirState::Free),
        (false, None) => Err(RunError::Exists(path)),
        (true, None) => Ok(OutputDirState::Replace),
        (false, Some(file)) => Err(RunError::NoRun { path, file }),
        (true, Some(file)) => Err(RunError::NotARun { path, file }),
    }
}

/// Removes what a run that never got beyond its config has left.
pub(super) fn clear(folder: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    for file in FILES.iter().chain(&[MARKER]) {
        gone(fs::remove_file(folder.join(file)))?;
    }
    for inside in [CHECKPOINTS, PLOTS, EVENTS] {
        gone(fs::remove_dir_all(folder.join(inside)))?;
    }
    checkpoint_folder::sweep(folder)
}

fn all(folder: &Path, is_one: &dyn Fn(&DirEntry) -> io::Result<bool>) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if !is_one(&entry?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether this is a folder that holds only event files.
fn holds_events(run: &DirEntry) -> io::Result<bool> {
    let name = |file: &DirEntry| file.file_name().to_string_lossy().into_owned();
    let is_one = |file: &DirEntry| {
        Ok(file.file_type()?.is_file() && name(file).starts_with("events.out.tfevents."))
    };
    Ok(run.file_type()?.is_dir() && all(&run.path(), &is_one)?)
}

/// Returns whether this is an image file, like those of a report.
fn is_plot(file: &DirEntry) -> io::Result<bool> {
    let path = file.path();
    let known = path.extension().is_some_and(|ending| ending == "svg" || ending == "png");
    Ok(file.file_type()?.is_file() && (known || atomic_files::is_temporary(&path)))
}
