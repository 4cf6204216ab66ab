//! What [`resolve`](super::resolve()) would do for a known data set, tried without downloading it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::catalog::{DatasetName, Entry};
use super::download::{self, Attempt};
use super::error::{DataError, missing_in_data_folder};
use super::{Locations, load};
use crate::atomic_files;

/// The place that a known data set would be taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This folder, where it is complete; `None` if it is built in.
    Here(Option<PathBuf>),
    /// This address, which responds; through this proxy if there is one.
    Mirror {
        /// The address of the first file.
        url: String,
        /// The proxy, without its password.
        proxy: Option<String>,
    },
    /// It cannot be downloaded: [`Request::Auto`](super::Request::Auto) takes the built-in digits.
    Fallback,
}

/// The result of [`dry_run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// Where the data would come from.
    pub found: Found,
    /// A note for the user, such as why the digits are used.
    pub notice: Option<String>,
}

/// Tries what [`resolve`](super::resolve()) does for [`Request::Auto`](super::Request::Auto): reads the data
/// that is here; else creates the cache folder, writes a file into it, and asks the mirrors for a response.
/// Everything this has written is removed.
///
/// # Errors
/// The errors that [`resolve`](super::resolve()) would return, too: data that is here and wrong, a cache that
/// cannot be written or has too little room, an invalid proxy setting.
pub fn dry_run(name: DatasetName, locations: &Locations) -> Result<DryRun, DataError> {
    if let Some(loaded) = load::on_disk(name, locations)? {
        let notice = loaded.source.notice;
        return Ok(DryRun { found: Found::Here(loaded.source.dir), notice });
    }
    let missed = locations.missed(name);
    let notice = missing_in_data_folder(&missed);
    let found = try_cache(name, locations).and_then(|folder| try_mirrors(name, locations, &folder));
    match found {
        Ok(found) => Ok(DryRun { found, notice }),
        Err(error) => {
            let error = error.with_missed(missed);
            let notice = Some(load::fallback_notice(&error).ok_or(error)?);
            Ok(DryRun { found: Found::Fallback, notice })
        }
    }
}

/// Creates the folder for the download like [`fetch`](super::fetch), and tries to write there.
fn try_cache(name: DatasetName, locations: &Locations) -> Result<PathBuf, DataError> {
    let folder = locations.cached(name).ok_or(DataError::NoCache { missed: None })?;
    let lock = load::lock_path(&folder);
    let _made = Made::before(&folder, &lock);
    let _locked = load::prepare(&folder)?;
    let probe = folder.join(".seqfit-doctor");
    atomic_files::write(&probe, b"written by seqfit doctor\n")
        .map_err(|error| DataError::write(&folder, error.source))?;
    fs::remove_file(&probe).map_err(|source| DataError::write(&probe, source))?;
    check_room(name.entry(), &folder)?;
    Ok(folder)
}

/// Checks that there is room for the files that are still missing.
fn check_room(entry: &Entry, folder: &Path) -> Result<(), DataError> {
    let missing = entry.files.iter().filter(|file| !folder.join(file.name).is_file());
    let needed: u64 = missing.map(|file| file.bytes).sum();
    match fs4::available_space(folder) {
        Ok(free) if free < needed => {
            let text = format!("{needed} bytes are needed, and {free} are free");
            Err(DataError::write(folder, io::Error::new(io::ErrorKind::StorageFull, text)))
        }
        _ => Ok(()),
    }
}

/// Asks the mirrors one after the other, until one has the first file.
fn try_mirrors(
    name: DatasetName,
    locations: &Locations,
    folder: &Path,
) -> Result<Found, DataError> {
    let Some(file) = name.entry().files.first() else { return Ok(Found::Here(None)) };
    let mut attempts = Vec::new();
    for mirror in locations.mirrors_of(name.entry()) {
        let url = format!("{mirror}{}", file.name);
        match download::reach(&url)? {
            Ok(proxy) => return Ok(Found::Mirror { url, proxy }),
            Err(problem) => attempts.push(Attempt { url, problem }),
        }
    }
    let (file, folder) = (file.name.to_owned(), folder.to_owned());
    Err(DataError::Download { file, folder, attempts, missed: None })
}

/// Folders and the lock that did not exist before; removed when this is dropped, if they are
/// empty, so that a doctor run by root leaves nothing that a user cannot write to.
struct Made {
    lock: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

impl Made {
    fn before(folder: &Path, lock: &Path) -> Self {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let folders = folder.ancestors().take_while(missing).map(Path::to_owned).collect();
        Self { lock: (!lock.exists()).then(|| lock.to_owned()), folders }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Folders that are in use by now stay.
        self.lock.iter().for_each(|lock| drop(fs::remove_file(lock)));
        self.folders.iter().for_each(|folder| drop(fs::remove_dir(folder)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locations(folder: &Path) -> Locations {
        Locations {
            data: None,
            cache: Some(folder.join("a/cache")),
            mirrors: Some(vec!["http://127.0.0.1:9".to_owned()]),
        }
    }

    #[test]
    fn a_dry_run_leaves_nothing_and_explains_the_fallback() {
        let home = tempfile::tempdir().unwrap();
        let found = dry_run(DatasetName::Mnist, &locations(home.path())).unwrap();
        assert_eq!(found.found, Found::Fallback);
        let notice = found.notice.unwrap();
        assert!(notice.contains("could not be downloaded (http://127.0.0.1:9/mnist/"), "{notice}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        let found = dry_run(DatasetName::Digits, &locations(home.path())).unwrap();
        assert_eq!(found, DryRun { found: Found::Here(None), notice: None });
    }

    #[test]
    fn a_cache_below_a_file_is_an_error_as_in_training() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("a"), "").unwrap();
        let locations = locations(home.path());
        let error = dry_run(DatasetName::Mnist, &locations).unwrap_err().to_string();
        let request = super::super::Request::Auto;
        let trained = super::super::resolve(&request, &locations, &mut |_| {}).unwrap_err();
        assert_eq!(error, trained.to_string());
        assert!(error.contains("SEQFIT_CACHE"), "{error}");
    }
}
