//! Checks whether a folder may become a run's: nothing worth keeping is ever overwritten.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::error::RunError;
use super::lock::{self, Lock};
use super::{EVENTS, FILES, PLOTS, RESULT, Run, WEIGHTS, checkpoints, exports, replacement};
use crate::files;

/// The result of [`Run::check_vacant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputDirState {
    /// It holds nothing that would be lost.
    Free,
    /// It holds a run that is to be replaced.
    Replace,
}

impl Run {
    /// Checks what [`create`](Self::create) would find, before long work. A run that never got beyond its
    /// config is no loss, so its folder counts as free.
    ///
    /// # Errors
    /// Like [`create`](Self::create).
    pub fn check_vacant(path: &Path, force: bool) -> Result<OutputDirState, RunError> {
        let prepare = |source| RunError::Prepare { path: path.to_owned(), source };
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(OutputDirState::Free);
            }
            entries => entries.map_err(prepare)?,
        };
        let names: Vec<_> = entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()
            .map_err(prepare)?;
        if names.is_empty() {
            return Ok(OutputDirState::Free);
        }
        let is_run = Self::from_folder(path).is_ok();
        // Left by a process that is killed right after its start.
        let passing = |name: &OsString| {
            (name == lock::FILE && Lock::is_one(&path.join(name)))
                || name == replacement::MARKER
                || files::is_temporary(Path::new(name))
        };
        let of_a_run = |name: &OsString| {
            let folder = name == checkpoints::FOLDER
                || name == PLOTS && only_plots(&path.join(name)).unwrap_or(false)
                || name == EVENTS && only_events(&path.join(name)).unwrap_or(false);
            let file = exports::is_one(name) || FILES.iter().any(|file| name == file);
            passing(name) || folder || file
        };
        let replaceable = is_run && names.iter().all(of_a_run);
        let began_in_vain = || -> io::Result<bool> {
            let results = [WEIGHTS, RESULT];
            let none = !names
                .iter()
                .any(|name| exports::is_one(name) || results.iter().any(|result| name == result));
            Ok(none && checkpoints::is_empty(&path.join(checkpoints::FOLDER))?)
        };
        if names.iter().all(passing) || replaceable && began_in_vain().map_err(prepare)? {
            return Ok(OutputDirState::Free);
        }
        match (force, replaceable) {
            (false, _) => Err(RunError::Exists(path.to_owned())),
            (true, true) => Ok(OutputDirState::Replace),
            (true, false) => Err(RunError::NotARun(path.to_owned())),
        }
    }

    /// Removes what a run that never got beyond its config has left.
    pub(super) fn clear(folder: &Path) -> io::Result<()> {
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        FILES.iter().try_for_each(|file| gone(fs::remove_file(folder.join(file))))?;
        gone(fs::remove_file(folder.join(replacement::MARKER)))?;
        gone(fs::remove_dir_all(folder.join(checkpoints::FOLDER)))?;
        gone(fs::remove_dir_all(folder.join(PLOTS)))?;
        gone(fs::remove_dir_all(folder.join(EVENTS)))?;
        checkpoints::sweep(folder)
    }
}

/// Returns whether a folder holds only folders of event files.
fn only_events(folder: &Path) -> io::Result<bool> {
    for part in fs::read_dir(folder)? {
        let part = part?;
        if !part.file_type()?.is_dir() {
            return Ok(false);
        }
        for entry in fs::read_dir(part.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let is_one = name.to_str().is_some_and(|name| name.starts_with("events.out.tfevents."));
            if !entry.file_type()?.is_file() || !is_one {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Returns whether a folder holds only image files, like those of a report.
fn only_plots(folder: &Path) -> io::Result<bool> {
    let pictures = ["svg", "png"];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let known =
            pictures.iter().any(|kind| path.extension().is_some_and(|found| found == *kind));
        if !entry.file_type()?.is_file() || !(known || files::is_temporary(&path)) {
            return Ok(false);
        }
    }
    Ok(true)
}
