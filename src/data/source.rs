//! Where a data set came from: what a run records, and what leads back to the same data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::catalog::DatasetName;
use super::dataset::Dataset;
use super::error::DataError;
use super::find;
use super::locations::Locations;

/// Which data set is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// MNIST; the built-in digits, with a notice, where it is neither on disk nor to be fetched.
    Auto,
    /// This data set, and no other.
    Named(DatasetName),
    /// The files in this folder.
    Dir(PathBuf),
}

/// A data set, in memory or streamed.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is trained on.
    pub train: Dataset,
    /// What is only tested on.
    pub test: Dataset,
    /// Where both came from.
    pub source: Source,
    /// Remarks for the person who asked for it, such as which folder the files were found in.
    pub notes: Vec<String>,
}

/// The test part of a data set, in memory or streamed.
#[derive(Clone, Debug)]
pub struct LoadedTest {
    /// The test images.
    pub test: Dataset,
    /// Where it came from; of a folder the test files alone.
    pub source: Source,
    /// Remarks for the person who asked for it.
    pub notes: Vec<String>,
}

impl From<Loaded> for LoadedTest {
    fn from(Loaded { test, source, notes, .. }: Loaded) -> Self {
        Self { test, source, notes }
    }
}

/// Where a data set came from, for a run's records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The known data set that the files are, whatever folder they lie in; else the folder's name.
    pub name: String,
    /// The folder, absolute; none for what is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// What a person must know about the choice; to be shown where nobody can miss it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The classes as the data names them, in the order of its labels, where a network that it went to has others
    /// or another order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// The files: training images and labels, test images and labels; or images and labels. Of shards
    /// images and labels of each, training before test.
    pub files: Vec<SourceFile>,
}

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its name in the folder.
    pub name: String,
    /// SHA-256 of its contents, decompressed; 64 hexadecimal digits in lower case. Of images that are
    /// streamed and have more than 256 MiB in all: "sampled:" and the SHA-256 of the file's length and of 16
    /// pieces of it.
    pub sha256: String,
}

impl Source {
    /// What loads the same data again: the folder while it is there, else, of a known data set,
    /// one in the data folder or in the cache that has its files. Nothing is fetched, except for a
    /// record that has no folder.
    ///
    /// # Errors
    /// The folder is gone and nothing takes its place; or there was none, and the name is none of a
    /// known data set.
    pub fn request(&self, locations: &Locations) -> Result<Request, DataError> {
        let known: Result<DatasetName, _> = self.name.parse();
        let Some(dir) = &self.dir else { return Ok(Request::Named(known?)) };
        if dir.is_dir() {
            return Ok(Request::Dir(dir.clone()));
        }
        let known = known.ok();
        let others =
            known.into_iter().flat_map(|name| [locations.own(name), locations.cached(name)]);
        match others.flatten().find(|other| find::has_all(other)) {
            Some(other) => Ok(Request::Dir(other)),
            None => Err(DataError::Gone { dir: dir.clone(), known }),
        }
    }

    /// Whether the last files of both, which are the test files, have the same contents.
    pub fn has_test_files(&self, other: &Source) -> bool {
        let common = self.files.len().min(other.files.len());
        let last = |source: &Source| {
            let files = source.files.iter().rev().take(common);
            files.map(|file| file.sha256.clone()).collect::<Vec<_>>()
        };
        common > 0 && last(self) == last(other)
    }

    /// Checks that `now`, loaded later, has the same contents, wherever they lie.
    ///
    /// # Errors
    /// Names the first file that differs.
    pub fn check_same(&self, now: &Source) -> Result<(), DataError> {
        let nothing = || "none".to_owned();
        let count = self.files.len().max(now.files.len());
        for (before, after) in (0..count).map(|i| (self.files.get(i), now.files.get(i))) {
            let [expected, found] = [before, after].map(|file| file.map(|file| &file.sha256));
            if expected != found {
                let name = after.or(before).map(|file| file.name.as_str()).unwrap_or_default();
                return Err(DataError::Changed {
                    file: match &now.dir {
                        Some(dir) => dir.join(name).display().to_string(),
                        None => name.to_owned(),
                    },
                    expected: expected.cloned().unwrap_or_else(nothing),
                    found: found.cloned().unwrap_or_else(nothing),
                });
            }
        }
        Ok(())
    }
}
