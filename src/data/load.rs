//! From a request to a data set in memory: own folder, data folder, cache, network, and
//! where each ends.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::catalog::{self, Check, DatasetName};
use super::dataset::Dataset;
use super::download::{self, Progress};
use super::error::{DataError, FolderProblem, listed, told_missed};
use super::find_files::Role;
use super::idx_folder::{self, Folder};
use super::known_folders::has_files;
use super::source::{Loaded, LoadedTest, PathRequest, Request, Source};
use super::sources::{self, idx};
use super::{Locations, digits};

/// Loads the requested data set. A known data set is taken from the data folder, else from the cache,
/// else it is downloaded into the cache, with calls of `progress`; its checksums must match.
///
/// # Errors
/// A file that is missing or wrong, a download that no mirror served, a folder that cannot be read
/// or written. For [`Request::Auto`] a download that failed, or for which there is no cache folder,
/// is a [`Source::notice`] instead.
pub fn resolve(
    request: &Request,
    locations: &Locations,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, DataError> {
    match request {
        Request::Dir(dir) if dir.is_dir() => sources::load(&PathRequest::new(dir), locations),
        Request::Dir(dir) => idx::load(dir),
        Request::Path(request) => sources::load(request, locations),
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

/// Like [`resolve`], for [`save_shards`](super::save_shards()): the pictures in a folder, which may be more than memory
/// holds, are decoded only when they are read, and those to train on are in a shuffled order.
///
/// # Errors
/// Like [`resolve`].
pub fn resolve_to_shard(
    request: &Request,
    locations: &Locations,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, DataError> {
    match request {
        Request::Dir(dir) if dir.is_dir() => {
            sources::load_to_copy(&PathRequest::new(dir), locations)
        }
        Request::Path(request) => sources::load_to_copy(request, locations),
        _ => resolve(request, locations, progress),
    }
}

/// Loads only the test part of the requested data set: of a folder its test files, the only ones it needs to
/// have; of a known data set the same as [`resolve`].
///
/// # Errors
/// Like [`resolve`].
pub fn resolve_test(
    request: &Request,
    locations: &Locations,
    progress: &mut dyn FnMut(Progress),
) -> Result<LoadedTest, DataError> {
    match request {
        Request::Dir(dir) if dir.is_dir() => sources::load_test(&PathRequest::new(dir), locations),
        Request::Dir(dir) => idx::load_test(dir),
        Request::Path(request) => sources::load_test(request, locations),
        _ => resolve(request, locations, progress).map(LoadedTest::from),
    }
}

/// Returns the training and the test part of a known data set, with the [`Locations`] of the
/// environment: `data::load("mnist")?`.
///
/// # Errors
/// Like [`resolve`], and a name that no known data set has.
pub fn load(name: &str) -> Result<(Dataset, Dataset), DataError> {
    let request = Request::Named(name.parse()?);
    let Loaded { train, test, .. } = resolve(&request, &Locations::from_env()?, &mut |_| {})?;
    Ok((train, test))
}

/// Returns the training and the test part in a folder of IDX files:
/// `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, or with `test` for `t10k`, with a dot before
/// `idx`, with `.gz`; where several exist, t10k, the dash and the plain file come first.
/// `classes.txt` names the classes, one per line; without it they are numbered from 0 to the highest
/// label.
///
/// # Errors
/// A file that is missing or is not an IDX file, images and labels or training and test files that do not
/// match, labels without a name.
pub fn load_dir(dir: impl AsRef<Path>) -> Result<(Dataset, Dataset), DataError> {
    let Loaded { train, test, .. } = idx::load(dir.as_ref())?;
    Ok((train, test))
}

/// Downloads a known data set into the cache, unless it is there and correct, and returns its folder;
/// `None` for built-in data.
///
/// # Errors
/// No cache folder, a download that no mirror served, or a folder that cannot be read or written.
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
    let _unlocked_on_close = prepare(&folder)?;
    let mirrors = locations.mirrors_of(entry);
    for file in entry.files {
        download::fetch_file(file, &mirrors, &folder, progress)?;
    }
    Ok(Some(folder))
}

/// Creates the folder for a download and takes its lock.
pub(super) fn prepare(folder: &Path) -> Result<File, DataError> {
    fs::create_dir_all(folder).map_err(|source| DataError::write(folder, source))?;
    // Another process that downloads the same is waited for; its files are then correct. Where
    // the file system has no locks there is no waiting.
    let path = lock_path(folder);
    let lock = File::create(&path).map_err(|source| DataError::write(&path, source))?;
    let _ = lock.lock();
    Ok(lock)
}

/// Returns the file next to a download's folder that is locked while the folder is written to.
pub(super) fn lock_path(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

fn named(
    name: DatasetName,
    locations: &Locations,
    progress: &mut dyn FnMut(Progress),
) -> Result<Loaded, DataError> {
    if let Some(loaded) = on_disk(name, locations)? {
        return Ok(loaded);
    }
    // Something is missing or wrong; the correct files stay.
    let fetched = fetch(name, locations, progress)
        .map_err(|error| error.with_missed(locations.missed(name)))?;
    match fetched {
        Some(dir) => in_folder(name, &dir),
        None => built_in(),
    }
}

/// Loads a known data set that is built in, in the data folder, or complete and correct in the cache.
///
/// # Errors
/// The data folder holds something else under its name.
pub(super) fn on_disk(
    name: DatasetName,
    locations: &Locations,
) -> Result<Option<Loaded>, DataError> {
    if name.entry().files.is_empty() {
        return built_in().map(Some);
    }
    if let Some(own) = locations.own(name) {
        return in_folder(name, &own).map(Some);
    }
    // Any name will do: a file may have been put there by hand.
    let cached = locations.cached(name).filter(|dir| has_files(Some(name), dir));
    Ok(cached.and_then(|dir| in_folder(name, &dir).ok()))
}

/// Loads a known data set from a folder, if its files match.
fn in_folder(name: DatasetName, dir: &Path) -> Result<Loaded, DataError> {
    match sources::of_archive(name) {
        Some(load) => load(name, dir),
        None => known(name, idx_folder::load(dir, Some(name))?),
    }
}

/// Accepts a folder as the known data set `name`, if its files match.
fn known(name: DatasetName, found: Folder) -> Result<Loaded, DataError> {
    let mut unchecked = Vec::new();
    let shape = found.train.any_pictures_for("this")?;
    let samples = [found.train.len(), found.test.len()];
    for (i, (path, digests)) in found.files.iter().enumerate() {
        let shape = Role::ALL[i].is_images().then_some(shape);
        match name.entry().check(i, digests, samples[i / 2], shape) {
            Check::Right => {}
            Check::Unknown => unchecked.push(idx::file_name(path)),
            Check::Wrong => {
                let found = digests.file.clone();
                let problem = FolderProblem::NotKnown { dataset: name, found };
                return Err(DataError::folder(path, problem));
            }
        }
    }
    let notice = (!unchecked.is_empty()).then(|| {
        format!(
            "{name} in {}: {} cannot be checked, because only the checksums of the .gz files are \
             known. Put those there to be sure.",
            found.dir.display(),
            unchecked.join(", ")
        )
    });
    Ok(idx::loaded(name.to_string(), found, notice))
}

fn built_in() -> Result<Loaded, DataError> {
    let (train, test, files) = digits::load()?;
    let name = DatasetName::Digits.to_string();
    let source = Source {
        name,
        dir: None,
        notice: None,
        classes: None,
        arrays: None,
        pictures: None,
        files,
    };
    Ok(Loaded { train, test, source, notes: Vec::new() })
}

/// Returns the notice that the built-in digits replace MNIST; `None` if `error` is not a reason for it.
pub(super) fn fallback_notice(error: &DataError) -> Option<String> {
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
