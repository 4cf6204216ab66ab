//! Fetching one file: from the first mirror that serves it correctly, resumed where it was cut off,
//! checked before it gets its final name.
//!
//! A file grows under its name with `.part` appended. If a mirror fails in any way, the next one
//! is tried; only a failure of this machine (a full disk) ends it at once.

mod checksum;
#[cfg(not(feature = "download"))]
mod disabled;
#[cfg(feature = "download")]
mod http;
#[cfg(feature = "download")]
mod http_via_proxy;
#[cfg(feature = "download")]
mod no_proxy;
pub(super) mod problem;
mod progress;
#[cfg(feature = "download")]
mod proxy;
mod stop_reason;
#[cfg(feature = "download")]
mod transfer;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use problem::{Attempt, MirrorProblem};
pub use progress::Progress;

use super::catalog::RemoteFile;
use super::error::DataError;
use checksum::check;
#[cfg(not(feature = "download"))]
use disabled::fetch;
#[cfg(feature = "download")]
use http::reach as ask;
use stop_reason::Stop;
#[cfg(feature = "download")]
use transfer::fetch;

/// Downloads `file` into `folder`, which is created if necessary, from the first of `mirrors` (base URLs
/// that end in `/`) that serves it. A file that is there and correct stays; one that is
/// wrong stays until a correct one replaces it. `progress` is called for each piece.
///
/// Two processes must not fetch the same file into the same folder at once.
///
/// # Errors
/// No mirror served the file, with each one's reason; or the folder cannot be read or written.
pub fn fetch_file(
    file: &RemoteFile<'_>,
    mirrors: &[String],
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, DataError> {
    let path = folder.join(file.name);
    if path.is_file() && check(file, &path)?.is_none() {
        return Ok(path);
    }
    fs::create_dir_all(folder).map_err(|source| DataError::write(folder, source))?;
    let part = folder.join(format!("{}.part", file.name));
    let mut attempts = Vec::new();
    for mirror in mirrors {
        let url = format!("{mirror}{}", file.name);
        match fetch(file, &url, &part, progress) {
            Ok(()) => {
                settle(&part, &path, folder)?;
                return Ok(path);
            }
            Err(Stop::Mirror(problem)) => attempts.push(Attempt { url, problem }),
            Err(Stop::Here(error)) => return Err(error),
        }
    }
    // An empty file has nothing to resume from.
    if fs::metadata(&part).is_ok_and(|part| part.len() == 0) {
        fs::remove_file(&part).map_err(|source| DataError::write(&part, source))?;
    }
    let (file, folder) = (file.name.to_owned(), folder.to_owned());
    Err(DataError::Download { file, folder, attempts, missed: None })
}

/// Requests the file at `url` without downloading it. Returns the proxy that the request went through.
///
/// # Errors
/// An invalid proxy setting; inside, why there was no file.
#[cfg(feature = "download")]
pub(super) fn reach(url: &str) -> Result<Result<Option<String>, MirrorProblem>, DataError> {
    match ask(url) {
        Ok(proxy) => Ok(Ok(proxy)),
        Err(Stop::Mirror(problem)) => Ok(Err(problem)),
        Err(Stop::Here(error)) => Err(error),
    }
}

/// Renames a complete file to its final name, durably: the file and its name survive a power failure.
fn settle(part: &Path, path: &Path, folder: &Path) -> Result<(), DataError> {
    let at = |source| DataError::write(path, source);
    File::open(part).and_then(|file| file.sync_all()).map_err(at)?;
    fs::rename(part, path).map_err(at)?;
    // A folder cannot be opened for this on Windows, which needs it less.
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(at)?;
    }
    Ok(())
}
