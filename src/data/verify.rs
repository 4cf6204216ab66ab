//! Checking data sets on disk: each file by itself, against its checksum where one is known.

use std::path::{Path, PathBuf};

use super::Locations;
use super::catalog::{self, DatasetName, Entry};
use super::error::DataError;
use super::folder::{self, Role};
use super::idx::{self, Digests};
use super::resolve::is_unknown;
use super::source::Request;

/// What was found at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// The file, or the folder if its files do not go together.
    pub path: PathBuf,
    /// What it holds, in words: `60000 images of 28x28`.
    pub holds: Option<String>,
    /// SHA-256 of its contents, decompressed.
    pub sha256: Option<String>,
    /// What to think of it.
    pub verdict: Verdict,
}

/// What to think of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is this data set's, by its checksum.
    Known(DatasetName),
    /// It can be used, and no checksum is known for it.
    Usable,
    /// It cannot be used, or it is not what it should be; and why, without its path.
    Wrong(String),
    /// It is not there.
    Missing,
}

impl FileReport {
    /// Whether the file can be used as what it is.
    pub fn is_right(&self) -> bool {
        matches!(self.verdict, Verdict::Known(_) | Verdict::Usable)
    }
}

/// Checks the files of a data set; for [`Request::Auto`] those of all known ones that are on disk,
/// in the data folder and in the cache. Nothing is fetched and nothing changed. What is built in
/// has no files, and an empty report.
///
/// # Errors
/// A folder of own data that cannot be read, or no folder where a known data set could be. Whatever is wrong with files is in the report.
pub fn verify(request: &Request, locations: &Locations) -> Result<Vec<FileReport>, DataError> {
    Ok(match request {
        Request::Dir(dir) => {
            std::fs::read_dir(dir).map_err(|source| DataError::read(dir, source))?;
            folder_report(dir, None)
        }
        Request::Named(name) if name.entry().files.is_empty() => Vec::new(),
        Request::Named(name) => {
            let folder = locations.own(*name).or_else(|| locations.cached(*name));
            let missed = || DataError::NoCache { missed: locations.missed(*name) };
            let folder = folder.ok_or_else(missed)?;
            folder_report(&folder, Some(name.entry()))
        }
        Request::Auto => catalog::all()
            .iter()
            .flat_map(|entry| {
                let own = locations.own(entry.name);
                let cached = locations.cached(entry.name).filter(|dir| dir.is_dir());
                let folders: Vec<PathBuf> = own.into_iter().chain(cached).collect();
                folders.into_iter().flat_map(|dir| folder_report(&dir, Some(entry)))
            })
            .collect(),
    })
}

/// A report a file, of a known data set or of any, and one on the whole if that is what is wrong.
fn folder_report(dir: &Path, expected: Option<&Entry>) -> Vec<FileReport> {
    let mut reports: Vec<FileReport> = Role::ALL
        .into_iter()
        .enumerate()
        .map(|(i, role)| file_report(dir, i, role, expected))
        .collect();
    if reports.iter().all(FileReport::is_right)
        && let Err(error) = folder::load(dir, expected.map(|entry| entry.name))
    {
        let (path, why) = error.located();
        let (path, verdict) = (path.unwrap_or(dir), Verdict::Wrong(why));
        // One of the four, which by itself was right, or classes.txt, or the whole.
        match reports.iter_mut().find(|report| report.path == path) {
            Some(report) => report.verdict = verdict,
            None => {
                let path = path.to_owned();
                reports.push(FileReport { path, holds: None, sha256: None, verdict });
            }
        }
    }
    reports
}

fn file_report(dir: &Path, i: usize, role: Role, expected: Option<&Entry>) -> FileReport {
    let usual = expected
        .and_then(|entry| entry.files.get(i))
        .map_or_else(|| role.names().swap_remove(0), |file| file.name.to_owned());
    let Some(path) = role.find(dir) else {
        let (path, verdict) = (dir.join(usual), Verdict::Missing);
        return FileReport { path, holds: None, sha256: None, verdict };
    };
    let read = if role.is_images() {
        idx::read_images(&path).map(|images| {
            let idx::Images { count, height, width, digests, .. } = images;
            (format!("{count} images of {height}x{width}"), digests)
        })
    } else {
        idx::read_labels(&path)
            .map(|labels| (format!("{} labels", labels.values.len()), labels.digests))
    };
    match read {
        Ok((holds, digests)) => {
            let verdict = verdict(i, &digests, expected);
            FileReport { path, holds: Some(holds), sha256: Some(digests.contents), verdict }
        }
        Err(error) => {
            let verdict = Verdict::Wrong(error.located().1);
            FileReport { path, holds: None, sha256: None, verdict }
        }
    }
}

fn verdict(i: usize, found: &Digests, expected: Option<&Entry>) -> Verdict {
    let file = |entry: &'static Entry| entry.files.get(i).map(|file| (entry.name, file));
    let known = catalog::all()
        .iter()
        .filter_map(file)
        .find(|(_, file)| file.matches(&found.file, &found.contents))
        .map(|(name, _)| name);
    let wanted = expected.and_then(|entry| entry.files.get(i).map(|file| (entry.name, file)));
    match (known, wanted) {
        (Some(known), Some((name, _))) if known == name => Verdict::Known(known),
        (Some(known), None) => Verdict::Known(known),
        (None, Some((_, file))) if is_unknown(file, found) => Verdict::Usable,
        (None, None) => Verdict::Usable,
        (_, Some((name, file))) => Verdict::Wrong(format!(
            "{name} wants a file with SHA-256 {}, found {}: delete this one and fetch {name} again",
            file.sha256, found.file
        )),
    }
}
