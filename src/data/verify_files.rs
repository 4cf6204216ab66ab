//! Checking data sets on disk: each file by itself, against its checksum where one is known.

use std::path::{Path, PathBuf};

use super::Locations;
use super::catalog::{self, Check, DatasetName, Entry};
use super::dataset::Dataset;
use super::error::DataError;
use super::find_files::{self, Files, Role};
use super::idx::{self, Digests};
use super::idx_folder;
use super::known_folders::has_files;
use super::picture_shape::PictureShape;
use super::source::{Loaded, LoadedTest, PathRequest, Request, Source};
use super::sources;

/// The result of checking one file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// The file, or the folder if its files do not match.
    pub path: PathBuf,
    /// Its contents, in words: `60000 images of 28x28`.
    pub holds: Option<String>,
    /// SHA-256 of its contents, decompressed.
    pub sha256: Option<String>,
    /// The assessment.
    pub verdict: Verdict,
    /// Notes for the user, such as arrays that are not used, and features that are not scaled.
    pub notes: Vec<String>,
}

/// The assessment of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to this data set, by its checksum.
    Known(DatasetName),
    /// It can be used, and no checksum is known for it.
    Usable,
    /// It cannot be used, or it is not the expected file; with the reason, without its path.
    Wrong(String),
    /// It is not there.
    Missing,
    /// A folder with test files only: networks can be evaluated on it, but not trained.
    TestOnly,
}

impl FileReport {
    fn without_contents(path: PathBuf, verdict: Verdict) -> Self {
        Self { path, holds: None, sha256: None, verdict, notes: Vec::new() }
    }

    /// Returns whether the file can be used for its purpose.
    pub fn is_right(&self) -> bool {
        matches!(self.verdict, Verdict::Known(_) | Verdict::Usable | Verdict::TestOnly)
    }
}

/// Checks the files of a data set; for [`Request::Auto`] those of all known ones that are on disk,
/// in the data folder and in the cache. Nothing is downloaded and nothing changed. A built-in data set
/// has no files, and an empty report.
///
/// # Errors
/// A folder of the user's data that cannot be read or has none of the files, or no folder where a known data set
/// could be. Problems of the files themselves are in the report.
pub fn verify(request: &Request, locations: &Locations) -> Result<Vec<FileReport>, DataError> {
    Ok(match request {
        Request::Dir(dir) => {
            std::fs::read_dir(dir).map_err(|source| DataError::read(dir, source))?;
            path_report(&PathRequest::new(dir), locations)?
        }
        Request::Path(request) => path_report(request, locations)?,
        Request::Named(name) if name.entry().files.is_empty() => Vec::new(),
        Request::Named(name) => {
            let folder = locations.own(*name).or_else(|| locations.cached(*name));
            let missed = || DataError::NoCache { missed: locations.missed(*name) };
            let folder = folder.ok_or_else(missed)?;
            known_report(&folder, name.entry())
        }
        Request::Auto => catalog::all()
            .iter()
            .flat_map(|entry| {
                let own = locations.own(entry.name);
                let cached = locations.cached(entry.name).filter(|dir| dir.is_dir());
                let mut folders: Vec<PathBuf> = own.into_iter().chain(cached).collect();
                // A folder that several share need not have them all.
                folders.retain(|dir| !entry.name.is_emnist() || has_files(Some(entry.name), dir));
                folders.into_iter().flat_map(|dir| known_report(&dir, entry))
            })
            .collect(),
    })
}

/// Reports on a file or folder of the user's data.
fn path_report(request: &PathRequest, locations: &Locations) -> Result<Vec<FileReport>, DataError> {
    Ok(match sources::idx_folder(request)? {
        Some(dir) => own_report(dir)?,
        None => vec![arrays_report(request, locations)],
    })
}

/// Describes the samples and targets of arrays: `float features of shape [8], targets: 1 number each`.
fn described(data: &Dataset) -> String {
    let targets = data.target_kind().counted(data.target_names().len());
    let each = if data.target_kind().is_class() { "" } else { " each" };
    format!("{}, targets: {targets}{each}", data.samples_in_words())
}

/// Reports on a file of arrays, or on a folder of pictures.
fn arrays_report(request: &PathRequest, locations: &Locations) -> FileReport {
    let report = |holds: String, source: &Source, verdict, notes: Vec<String>| FileReport {
        path: request.path.clone(),
        holds: Some(holds),
        sha256: source.files.first().map(|file| file.sha256.clone()),
        verdict,
        notes,
    };
    let error = match sources::load(request, locations) {
        Ok(Loaded { train, test, source, mut notes }) => {
            let holds = format!("{} + {} samples, {}", train.len(), test.len(), described(&train));
            notes.extend(train.training_advice());
            return report(holds, &source, Verdict::Usable, notes);
        }
        Err(error) => error,
    };
    match sources::load_test(request, locations) {
        Ok(LoadedTest { test, source, notes }) => {
            let holds = format!("{} samples, {}", test.len(), described(&test));
            report(holds, &source, Verdict::TestOnly, notes)
        }
        Err(_) => {
            FileReport::without_contents(request.path.clone(), Verdict::Wrong(error.located().1))
        }
    }
}

/// Reports on a folder of the user's data, of which test files alone can be used, too.
fn own_report(dir: &Path) -> Result<Vec<FileReport>, DataError> {
    let missing = match find_files::files(dir, &Role::ALL) {
        Ok(_) => return Ok(folder_report(dir, None)),
        Err(error) => error,
    };
    if let Ok(Files { dir, .. }) = find_files::files(dir, &Role::TEST)
        && Role::ALL.iter().all(|role| Role::TEST.contains(role) || is_absent(*role, &dir))
    {
        let mut reports = file_reports(&dir, &Role::TEST, None);
        if reports.iter().all(FileReport::is_right) {
            add_problem(&mut reports, &dir, idx_folder::load_test(&dir).err());
        }
        if reports.iter().all(FileReport::is_right) {
            reports.push(FileReport::without_contents(dir, Verdict::TestOnly));
        }
        return Ok(reports);
    }
    match find_files::has_some(dir) {
        true => Ok(folder_report(dir, None)),
        false => Err(missing),
    }
}

fn is_absent(role: Role, dir: &Path) -> bool {
    matches!(role.find(dir), Ok(None))
}

/// Reports on the files of a known data set.
fn known_report(dir: &Path, entry: &Entry) -> Vec<FileReport> {
    let Some(load) = sources::of_archive(entry.name) else {
        return folder_report(dir, Some(entry));
    };
    if !has_files(Some(entry.name), dir) {
        return vec![FileReport::without_contents(dir.to_owned(), Verdict::Missing)];
    }
    let (holds, verdict) = match load(entry.name, dir) {
        Err(error) => (None, Verdict::Wrong(error.located().1)),
        Ok(Loaded { train, test, source, .. }) => {
            let counts = format!("{} + {} samples", train.len(), test.len());
            let verdict = match source.notice {
                None => Verdict::Known(entry.name),
                Some(_) => Verdict::Usable,
            };
            (Some(format!("{counts}, {}", described(&train))), verdict)
        }
    };
    vec![FileReport { holds, ..FileReport::without_contents(dir.to_owned(), verdict) }]
}

/// Reports on each file of a known data set or of any other, and on the whole if that is wrong.
fn folder_report(dir: &Path, expected: Option<&Entry>) -> Vec<FileReport> {
    let files = find_files::files(dir, &Role::ALL).map(|files| files.dir);
    let dir = files.as_deref().unwrap_or(dir);
    let mut reports = file_reports(dir, &Role::ALL, expected);
    // A file that is wrong by itself explains enough.
    if reports.iter().all(FileReport::is_right) {
        let loaded = idx_folder::load(dir, expected.map(|entry| entry.name));
        add_problem(&mut reports, dir, loaded.err());
    }
    reports
}

fn file_reports(dir: &Path, roles: &[Role], expected: Option<&Entry>) -> Vec<FileReport> {
    let all = Role::ALL.into_iter().enumerate().filter(|(_, role)| roles.contains(role));
    all.map(|(i, role)| file_report(dir, i, role, expected)).collect()
}

/// Adds the problem of files that are each correct, and together are not a data set.
fn add_problem(reports: &mut Vec<FileReport>, dir: &Path, problem: Option<DataError>) {
    if let Some(error) = problem {
        let (path, why) = error.located();
        let (path, verdict) = (path.unwrap_or(dir), Verdict::Wrong(why));
        // One of the four, which by itself was correct, or classes.txt, or the whole.
        match reports.iter_mut().find(|report| report.path == path) {
            Some(report) => report.verdict = verdict,
            None => {
                reports.push(FileReport::without_contents(path.to_owned(), verdict));
            }
        }
    }
}

fn file_report(dir: &Path, i: usize, role: Role, expected: Option<&Entry>) -> FileReport {
    let usual = expected
        .and_then(|entry| entry.files.get(i))
        .map_or_else(|| role.names().swap_remove(0), |file| file.name.to_owned());
    let missing = FileReport::without_contents;
    let path = match role.find(dir) {
        Ok(Some(path)) => path,
        Ok(None) => return missing(dir.join(usual), Verdict::Missing),
        Err(error) => {
            let (path, why) = error.located();
            return missing(path.unwrap_or(dir).to_owned(), Verdict::Wrong(why));
        }
    };
    match read(role, &path) {
        Ok(Content { holds, samples, shape, digests }) => {
            let verdict = verdict(i, &digests, samples, shape, expected);
            let sha256 = Some(digests.contents);
            FileReport { path, holds: Some(holds), sha256, verdict, notes: Vec::new() }
        }
        Err(error) => missing(path, Verdict::Wrong(error.located().1)),
    }
}

/// The contents of a file, without its values.
struct Content {
    holds: String,
    samples: usize,
    /// The shape of images.
    shape: Option<PictureShape>,
    digests: Digests,
}

fn read(role: Role, path: &Path) -> Result<Content, DataError> {
    if role.is_images() {
        let idx::Images { count, shape, digests, .. } = idx::read_images(path)?;
        let holds = format!("{count} images of {shape}");
        return Ok(Content { holds, samples: count, shape: Some(shape), digests });
    }
    let idx::Labels { values, digests } = idx::read_labels(path)?;
    let holds = format!("{} labels", values.len());
    Ok(Content { holds, samples: values.len(), shape: None, digests })
}

fn verdict(
    i: usize,
    found: &Digests,
    samples: usize,
    shape: Option<PictureShape>,
    expected: Option<&Entry>,
) -> Verdict {
    let Some(entry) = expected else {
        let is_it = |entry: &&Entry| entry.files.get(i).is_some_and(|file| file.is(found));
        return match catalog::all().iter().find(is_it) {
            Some(entry) => Verdict::Known(entry.name),
            None => Verdict::Usable,
        };
    };
    match (entry.check(i, found, samples, shape), entry.files.get(i)) {
        (Check::Right, _) => Verdict::Known(entry.name),
        (Check::Wrong, Some(file)) => Verdict::Wrong(format!(
            "{name} wants a file with SHA-256 {}, found {}: delete this one and fetch {name} again",
            file.sha256,
            found.file,
            name = entry.name
        )),
        _ => Verdict::Usable,
    }
}
