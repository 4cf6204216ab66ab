//! From what was asked for to a data set in memory: own folder, data folder, cache, network, and
//! where each ends.

use std::fs::{self, File};
use std::path::{self, Path, PathBuf};

use super::catalog::{self, DatasetName, RemoteFile};
use super::dataset::Dataset;
use super::download::{self, Progress};
use super::error::{DataError, FolderProblem, listed, told_missed};
use super::folder::{self, Folder, Role};
use super::idx::Digests;
use super::source::{Loaded, Request, Source, SourceFile};
use super::{Locations, digits};

/// Loads what is asked for. A known data set is taken from the data folder, else from the cache,
/// else it is fetched into the cache, of which `progress` is told; its checksums must be right.
///
/// # Errors
/// A file that is missing or wrong, a download that no mirror gave, a folder that cannot be read
/// or written. For [`Request::Auto`] a download that failed, or for which there is no cache folder,
/// is a [`Source::notice`] instead.
pub fn resolve(
    request: &Request,
    locations: &Locations,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, DataError> {
    match request {
        Request::Dir(dir) => from_dir(dir),
        Request::Named(name) => named(*name, locations, progress),
        Request::Auto => match named(DatasetName::Mnist, locations, progress) {
            Err(error) => {
                let notice = fallback_notice(&error).ok_or(error)?;
                let mut digits = built_in()?;
                digits.source.notice = Some(notice);
                Ok(digits)
            }
            found => found,
        },
    }
}

/// The training and the test part of a known data set, with the [`Locations`] that the environment
/// gives: `data::load("mnist")?`.
///
/// # Errors
/// As [`resolve`], and a name that no known data set has.
pub fn load(name: &str) -> Result<(Dataset, Dataset), DataError> {
    let request = Request::Named(name.parse()?);
    let Loaded { train, test, .. } = resolve(&request, &Locations::from_env()?, &mut |_| {})?;
    Ok((train, test))
}

/// The training and the test part in a folder of IDX files:
/// `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, or with `test` for `t10k`, with a dot before
/// `idx`, with `.gz`; where several exist, t10k, the dash and the plain file come first.
/// `classes.txt` names the classes, one a line; without it they are numbered from 0 to the highest
/// label.
///
/// # Errors
/// A file that is missing or no IDX file, images and labels or training and test files that do not
/// go together, labels without a name.
pub fn load_dir(dir: impl AsRef<Path>) -> Result<(Dataset, Dataset), DataError> {
    let Loaded { train, test, .. } = from_dir(dir.as_ref())?;
    Ok((train, test))
}

/// Brings a known data set into the cache, unless it is there and right, and returns its folder;
/// `None` for what is built in.
///
/// # Errors
/// No cache folder, a download that no mirror gave, or a folder that cannot be read or written.
pub fn fetch(
    name: DatasetName,
    locations: &Locations,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<PathBuf>, DataError> {
    let entry = name.entry();
    if entry.files.is_empty() {
        return Ok(None);
    }
    let folder = locations.cached(name).ok_or(DataError::NoCache { missed: None })?;
    fs::create_dir_all(&folder).map_err(|source| DataError::write(&folder, source))?;
    // Another process that fetches the same is waited for; what it brought is then right. Where
    // the file system has no locks there is no waiting.
    let lock = folder.with_extension("lock");
    let lock = File::create(&lock).map_err(|source| DataError::write(&lock, source))?;
    let _unlocked_on_close = lock.lock();
    let mirrors = locations.mirrors_of(entry);
    for file in entry.files {
        download::fetch_file(file, &mirrors, &folder, progress)?;
    }
    Ok(Some(folder))
}

fn named(
    name: DatasetName,
    locations: &Locations,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, DataError> {
    let entry = name.entry();
    if entry.files.is_empty() {
        return built_in();
    }
    if let Some(own) = locations.own(name) {
        return known(name, folder::load(&own, Some(name))?, &own);
    }
    // Under whatever name: a file may have been put there by hand.
    if let Some(cached) = locations.cached(name).filter(|dir| Role::all_in(dir))
        && let Ok(loaded) =
            folder::load(&cached, Some(name)).and_then(|found| known(name, found, &cached))
    {
        return Ok(loaded);
    }
    // Something is missing or wrong; what is right stays.
    let fetched = fetch(name, locations, progress).map_err(|mut error| {
        if let DataError::Download { missed, .. } | DataError::NoCache { missed } = &mut error {
            *missed = locations.missed(name);
        }
        error
    });
    match fetched? {
        Some(dir) => known(name, folder::load(&dir, Some(name))?, &dir),
        None => built_in(),
    }
}

/// Takes a folder for the known data set `name`, if its files are that.
fn known(name: DatasetName, found: Folder, dir: &Path) -> Result<Loaded, DataError> {
    let entry = name.entry();
    let mut unchecked = Vec::new();
    for (file, (path, digests)) in entry.files.iter().zip(&found.files) {
        if file.matches(&digests.file, &digests.contents) {
            continue;
        }
        if !is_unknown(file, digests) {
            let problem = FolderProblem::NotKnown { dataset: name, found: digests.file.clone() };
            return Err(DataError::folder(path, problem));
        }
        unchecked.push(file_name(path));
    }
    let notice = (!unchecked.is_empty()).then(|| {
        format!(
            "{name} in {}: {} cannot be checked, because only the checksums of the .gz files are \
             known. Put those there to be sure.",
            dir.display(),
            unchecked.join(", ")
        )
    });
    Ok(loaded(name.to_string(), dir, found, notice))
}

/// Whether nothing is known about a file: it is plain, and only the gzip's digest is on record.
pub(super) fn is_unknown(file: &RemoteFile<'_>, found: &Digests) -> bool {
    file.contents.is_none() && found.file == found.contents
}

fn from_dir(dir: &Path) -> Result<Loaded, DataError> {
    let found = folder::load(dir, None)?;
    let name = found.known.map_or_else(|| own_name(dir), |known| known.to_string());
    Ok(loaded(name, dir, found, None))
}

fn loaded(name: String, dir: &Path, found: Folder, notice: Option<String>) -> Loaded {
    let files = found
        .files
        .into_iter()
        .map(|(path, digests)| SourceFile { name: file_name(&path), sha256: digests.contents })
        .collect();
    let dir = Some(path::absolute(dir).unwrap_or_else(|_| dir.to_owned()));
    let source = Source { name, dir, notice, files };
    Loaded { train: found.train, test: found.test, source }
}

fn built_in() -> Result<Loaded, DataError> {
    let (train, test, files) = digits::load()?;
    let name = DatasetName::Digits.to_string();
    Ok(Loaded { train, test, source: Source { name, dir: None, notice: None, files } })
}

/// What to say when the built-in digits stand in for MNIST; `None` if `error` is no reason for it.
fn fallback_notice(error: &DataError) -> Option<String> {
    let (reason, missed, cure) = match error {
        DataError::Download { file, folder, attempts, missed } => (
            format!("{file} could not be downloaded ({})", listed(attempts)),
            missed,
            format!("connect to a network, or put its files into {}", folder.display()),
        ),
        DataError::NoCache { missed } => (
            "There is no folder to download it to (no SEQFIT_CACHE, XDG_CACHE_HOME or home folder)"
                .to_owned(),
            missed,
            "set SEQFIT_CACHE to a folder".to_owned(),
        ),
        _ => return None,
    };
    let catalog::Entry { samples: [train, test], .. } = DatasetName::Digits.entry();
    Some(format!(
        "This is NOT MNIST. {reason}{}, so the built-in digits are used: {} images of 8x8 pixels, \
         an easier task, whose accuracy says nothing about MNIST. For MNIST, {cure}, or name it \
         explicitly to stop here.",
        told_missed(missed),
        train + test,
    ))
}

/// The name of a folder.
pub(super) fn own_name(dir: &Path) -> String {
    // "." and ".." have no name of their own.
    let absolute = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    file_name(&absolute)
}

/// The last part of a path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
