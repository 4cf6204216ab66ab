//! `--force`: a new run that replaces an old one once it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::RunError;
use super::lock::Lock;
use super::output_dir::OutputDirState;
use super::{Run, beside, read};
use crate::files;

/// The file in the new run's folder that names the path it is to take, so that a run that is resumed later
/// takes it, too.
pub(super) const MARKER: &str = "replaces";

/// Returns a path in the form that the marker stores.
fn real(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Returns whether `path` is `place` plus `suffix`, optionally followed by a number: `runs/a.new-2`.
fn named_after(path: &Path, place: &Path, suffix: &str) -> bool {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    let rest = name(path).zip(name(place)).and_then(|(name, place)| {
        Some(name.strip_prefix(&place)?.strip_prefix(suffix)?.to_owned())
    });
    let numbered = |rest: &str| {
        let number = rest.strip_prefix('-').unwrap_or("");
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    path.parent() == place.parent() && rest.is_some_and(|rest| rest.is_empty() || numbered(&rest))
}

/// The path that a run takes when it is finished. As long as this value lives, no other process writes there.
#[derive(Debug)]
pub(super) struct Replacement {
    place: PathBuf,
    /// Where the old run has been moved to, if a process was killed right after that.
    moved: Option<PathBuf>,
    /// The lock of the old run; none if it no longer exists.
    lock: Option<Lock>,
}

impl Replacement {
    /// Creates a new folder beside `place`: `PLACE.new`, or `PLACE.new-2` and so on if those are not empty.
    pub fn begin(place: &Path) -> Result<(Self, PathBuf), RunError> {
        let lock = Lock::take(place)?;
        let prepare = |source| RunError::Prepare { path: place.to_owned(), source };
        let numbered = (2u32..).map(|n| beside(place, &format!(".new-{n}")));
        for folder in std::iter::once(beside(place, ".new")).chain(numbered) {
            match fs::create_dir(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // One of our folders that never got beyond its config is no loss.
                    let vacant =
                        matches!(Run::check_vacant(&folder, false), Ok(OutputDirState::Free));
                    if !vacant || !folder.join(MARKER).is_file() {
                        continue;
                    }
                }
                Err(error) => return Err(prepare(error)),
            }
            return Ok((Self { place: place.to_owned(), moved: None, lock: Some(lock) }, folder));
        }
        Err(prepare(io::ErrorKind::AlreadyExists.into()))
    }

    /// Returns the path that is replaced.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Records in the new run's folder what it replaces.
    pub fn mark(&self, folder: &Path) -> Result<(), RunError> {
        let mut text = format!("{}\n{}\n", real(&self.place), real(folder));
        text.extend(self.moved.iter().map(|moved| format!("{}\n", moved.display())));
        Ok(files::write(&folder.join(MARKER), text.as_bytes())?)
    }

    /// Reads what the run in `folder` is to replace, if anything. If a process was killed when only the
    /// cleanup was left, this finishes the cleanup.
    pub fn read(folder: &Path) -> Result<Option<Self>, RunError> {
        let bytes = match read(folder, MARKER, 1, 1 << 14) {
            Err(RunError::Missing { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut lines = text.lines();
        let (Some(place), Some(own)) = (lines.next(), lines.next()) else { return Ok(None) };
        let (place, moved) = (PathBuf::from(place), lines.next().map(PathBuf::from));
        let here = real(folder);
        // The names that `begin` and `finish` use: anything else in the file was not written by us.
        let ours = named_after(Path::new(own), &place, ".new")
            && moved.as_ref().is_none_or(|moved| named_after(moved, &place, ".old"));
        if !ours {
            return Ok(None);
        }
        if moved.is_some() && here == real(&place) {
            Self { place, moved, lock: None }.tidy()?;
            return Ok(None);
        }
        // A folder that was moved or copied since then has another purpose now.
        if own != here {
            return Ok(None);
        }
        // Anything that was put there since then is not replaced unless it is a run.
        let lock = match Run::check_vacant(&place, true)? {
            OutputDirState::Replace => Some(Lock::take(&place)?),
            OutputDirState::Free => None,
        };
        Ok(Some(Self { place, moved, lock }))
    }

    /// Moves the finished run in `folder` to its final path and returns that path. If this is interrupted at
    /// any point, [`read`](Self::read) and another call finish it.
    pub fn finish(mut self, folder: &Path) -> Result<PathBuf, RunError> {
        let place = self.place.clone();
        let prepare = |source| RunError::Prepare { path: place.clone(), source };
        // Someone may have put their own files there since then.
        let found = Run::check_vacant(&place, true)?;
        if found == OutputDirState::Replace || place.exists() {
            let numbered = (2u32..).map(|n| beside(&place, &format!(".old-{n}")));
            let mut names = std::iter::once(beside(&place, ".old")).chain(numbered);
            let old = names.find(|old| !old.exists());
            self.moved = Some(old.ok_or_else(|| prepare(io::ErrorKind::AlreadyExists.into()))?);
            // Recorded first, so that it is never orphaned.
            self.mark(folder)?;
        }
        if let Some(moved) = self.moved.as_ref().filter(|_| place.exists()) {
            fs::rename(&place, moved).map_err(prepare)?;
        }
        fs::rename(folder, &place).map_err(prepare)?;
        self.tidy()?;
        Ok(place)
    }

    /// Removes the replaced run and then the marker.
    fn tidy(&self) -> Result<(), RunError> {
        let prepare = |source| RunError::Prepare { path: self.place.clone(), source };
        if let Some(parent) = self.place.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(prepare)?;
        }
        if let Some(moved) = self.moved.as_ref().filter(|moved| moved.exists()) {
            // Only a run is removed, and only one that no process is training.
            Run::check_vacant(moved, true)?;
            let _lock = if self.lock.is_none() { Some(Lock::take(moved)?) } else { None };
            fs::remove_dir_all(moved).map_err(prepare)?;
        }
        fs::remove_file(self.place.join(MARKER)).map_err(prepare)
    }
}
