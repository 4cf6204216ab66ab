//! `--force`: a new run that takes the place of an old one once it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::RunError;
use super::lock::Lock;
use super::vacancy::Vacancy;
use super::{Run, beside, read};
use crate::files;

/// The file in the new run's folder that names the place it is to take, so that a run that goes on
/// later takes it, too.
pub(super) const MARKER: &str = "replaces";

/// A path as the marker has it.
fn real(path: &Path) -> String {
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The place that a run takes when it is finished. As long as this lives, nobody else writes there.
#[derive(Debug)]
pub(super) struct Replacement {
    place: PathBuf,
    /// Of the run that is there; none if there is nothing any more.
    _lock: Option<Lock>,
}

impl Replacement {
    /// Begins in a folder of its own beside `place`: `PLACE.new`, or `PLACE.new-2` and so on where those
    /// hold something.
    pub fn begin(place: &Path) -> Result<(Self, PathBuf), RunError> {
        let lock = Lock::take(place)?;
        let prepare = |source| RunError::Prepare { path: place.to_owned(), source };
        let numbered = (2u32..).map(|n| beside(place, &format!(".new-{n}")));
        for folder in std::iter::once(beside(place, ".new")).chain(numbered) {
            match fs::create_dir(&folder) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    // One of ours that never got anywhere is no loss.
                    let vacant = matches!(Run::check_vacant(&folder, false), Ok(Vacancy::Free));
                    if !vacant || !folder.join(MARKER).is_file() {
                        continue;
                    }
                }
                Err(error) => return Err(prepare(error)),
            }
            return Ok((Self { place: place.to_owned(), _lock: Some(lock) }, folder));
        }
        Err(prepare(io::ErrorKind::AlreadyExists.into()))
    }

    /// Writes down in the new run's folder what it replaces.
    pub fn mark(&self, folder: &Path) -> Result<(), RunError> {
        let text = format!("{}\n{}\n", real(&self.place), real(folder));
        Ok(files::write(&folder.join(MARKER), text.as_bytes())?)
    }

    /// What the run in `folder` is to replace, if it says so.
    pub fn read(folder: &Path) -> Result<Option<Self>, RunError> {
        let bytes = match read(folder, MARKER, 1, 1 << 12) {
            Err(RunError::Missing { .. }) => return Ok(None),
            bytes => bytes?,
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // A folder that was moved or copied since has another purpose now.
        let place = match text.lines().collect::<Vec<_>>()[..] {
            [place, own] if own == real(folder) => PathBuf::from(place),
            _ => return Ok(None),
        };
        // What has come there since is not replaced unless it is a run.
        let lock = match Run::check_vacant(&place, true)? {
            Vacancy::Replace => Some(Lock::take(&place)?),
            Vacancy::Free => None,
        };
        Ok(Some(Self { place, _lock: lock }))
    }

    /// Puts the finished run in `folder` in its place, and returns that.
    pub fn finish(self, folder: &Path) -> Result<PathBuf, RunError> {
        let Self { place, .. } = &self;
        let prepare = |source| RunError::Prepare { path: place.clone(), source };
        // Somebody may have put something of theirs there since.
        let found = Run::check_vacant(place, true)?;
        let old = match found {
            Vacancy::Free if !place.exists() => None,
            _ => {
                let numbered = (2u32..).map(|n| beside(place, &format!(".old-{n}")));
                let mut names = std::iter::once(beside(place, ".old")).chain(numbered);
                let old = names.find(|old| !old.exists());
                let old = old.ok_or_else(|| prepare(io::ErrorKind::AlreadyExists.into()))?;
                fs::rename(place, &old).map_err(prepare)?;
                Some(old)
            }
        };
        fs::rename(folder, place).map_err(prepare)?;
        fs::remove_file(place.join(MARKER)).map_err(prepare)?;
        if let Some(old) = old {
            fs::remove_dir_all(old).map_err(prepare)?;
        }
        Ok(place.clone())
    }
}
