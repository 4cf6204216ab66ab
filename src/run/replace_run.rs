//! `--force`: a new run that replaces an old one once it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::check_output_dir::{OutputDirState, check_vacant};
use super::error::RunError;
use super::folder_layout::{self, CONFIG, MARKER, REPLACED, RESULT};
use super::folder_lock::Lock;
use crate::atomic_files;
use crate::data::sha256::{self, Sha256Hex};

/// The path that a run takes when it is finished. As long as this value lives, no other process writes there.
#[derive(Debug)]
pub(super) struct Replacement {
    place: PathBuf,
    /// The lock of the old run; none if it no longer exists.
    lock: Option<Lock>,
    /// The [`identity`] of the old run.
    replaced: Sha256Hex,
}

impl Replacement {
    /// Creates a new folder beside `place`: `PLACE.new`, or `PLACE.new-2` and so on if those are not empty.
    pub fn begin(place: &Path) -> Result<(Self, PathBuf), RunError> {
        let lock = Some(Lock::take(place)?);
        // One of our folders that never got beyond its config is no loss.
        let free = |folder: &Path| {
            matches!(check_vacant(folder, false), Ok(OutputDirState::Free))
                && folder.join(MARKER).is_file()
        };
        let folder = folder_layout::create_folder(&folder_layout::beside(place, ".new"), free)
            .map_err(|source| RunError::Prepare { path: place.to_owned(), source })?;
        let replaced = identity(place)
            .map_err(|source| RunError::Prepare { path: place.to_owned(), source })?;
        Ok((Self { place: place.to_owned(), lock, replaced }, folder))
    }

    /// Returns the path that is replaced.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Records in the new run's folder that it replaces another, and which one, so that a run that is resumed later
    /// does, too, and replaces no third one that is there by then.
    pub fn mark(&self, folder: &Path) -> Result<(), RunError> {
        let text = format!("{}\n{}", real(folder), self.replaced);
        Ok(atomic_files::write(&folder.join(MARKER), text.as_bytes())?)
    }

    /// Reads what the run in `folder` is to replace, if anything. If a process was killed when only the
    /// cleanup was left, this finishes the cleanup.
    pub fn read(folder: &Path) -> Result<Option<Self>, RunError> {
        let bytes = match folder_layout::read(folder, MARKER, 1, 1 << 14) {
            Err(RunError::Missing { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let (text, here) = (String::from_utf8_lossy(&bytes).into_owned(), real(folder));
        // A path may contain anything but the digest after the last line break.
        let (own, replaced) = text.rsplit_once('\n').unwrap_or((&text, ""));
        let Some(place) = replaced_by(Path::new(own)) else { return Ok(None) };
        if Path::new(&here) == place {
            tidy(&place)?;
            return Ok(None);
        }
        // A folder that was moved or copied since then has another purpose now.
        if own != here {
            return Ok(None);
        }
        // Anything that was put there since then is not replaced unless it is a run.
        let lock = match check_vacant(&place, true)? {
            OutputDirState::Replace => Some(Lock::take(&place)?),
            OutputDirState::Free => None,
        };
        if lock.is_some() && identity(&place).ok().as_deref() != Some(replaced) {
            return Err(taken(folder, place));
        }
        Ok(Some(Self { place, lock, replaced: replaced.to_owned() }))
    }

    /// Moves the finished run in `folder` to its final path and returns that path. If this is interrupted at
    /// any point, [`read`](Self::read) and another call finish it.
    pub fn finish(self, folder: &Path) -> Result<PathBuf, RunError> {
        let Self { place, lock, .. } = self;
        let prepare = |source| RunError::Prepare { path: place.clone(), source };
        // Left by an interrupted call.
        remove_replaced(folder)?;
        // Someone may have put their own files there since then.
        let state = check_vacant(&place, true)?;
        if lock.is_none() && state == OutputDirState::Replace {
            return Err(taken(folder, place));
        }
        if place.exists() {
            fs::rename(&place, folder.join(REPLACED)).map_err(prepare)?;
        }
        drop(lock);
        fs::rename(folder, &place).map_err(prepare)?;
        tidy(&place)?;
        Ok(place)
    }
}

/// Returns what tells a run from another one at its path, and from itself after it has been continued: the SHA-256
/// of its config and its result.
fn identity(run: &Path) -> io::Result<Sha256Hex> {
    let mut all = Vec::new();
    for file in [CONFIG, RESULT] {
        // A run that is not finished has no result.
        let bytes = fs::read(run.join(file)).unwrap_or_default();
        all.extend((bytes.len() as u64).to_le_bytes());
        all.extend(bytes);
    }
    sha256::sha256(&all[..])
}

/// Returns the error for another run at the path that the one in `folder` is to take.
fn taken(folder: &Path, place: PathBuf) -> RunError {
    RunError::PlaceTaken { folder: folder.to_owned(), place, marker: folder.join(MARKER) }
}

/// Returns a path in the form that the marker stores.
fn real(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Returns the path that a run replaces whose folder [`Replacement::begin`] has named: `runs/a` for `runs/a.new` and
/// `runs/a.new-2`.
fn replaced_by(folder: &Path) -> Option<PathBuf> {
    let (name, number) = folder.file_name()?.to_str()?.rsplit_once(".new")?;
    let numbered = || number.strip_prefix('-').is_some_and(|n| n.parse::<u32>().is_ok());
    (number.is_empty() || numbered()).then(|| folder.with_file_name(name))
}

/// Removes the replaced run and then the marker from the new run's folder, which has been moved to `place`.
fn tidy(place: &Path) -> Result<(), RunError> {
    let prepare = |source| RunError::Prepare { path: place.to_owned(), source };
    if let Some(parent) = place.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(prepare)?;
    }
    remove_replaced(place)?;
    fs::remove_file(place.join(MARKER)).map_err(prepare)
}

/// Removes the replaced run from the new run's folder, if it is there.
fn remove_replaced(folder: &Path) -> Result<(), RunError> {
    let old = folder.join(REPLACED);
    if !old.exists() {
        return Ok(());
    }
    // Only a run is removed, and only one that no process is training.
    check_vacant(&old, true)?;
    let _lock = Lock::take(&old)?;
    fs::remove_dir_all(&old).map_err(|source| RunError::Prepare { path: old.clone(), source })
}
