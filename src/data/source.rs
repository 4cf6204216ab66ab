//! The origin of a data set: recorded in a run, and used to load the same data again.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::array_keys::ArrayKeys;
use super::catalog::{self, DatasetName};
use super::dataset::Dataset;
use super::error::DataError;
use super::known_folders::has_files;
use super::picture_kind::PictureKind;
use super::picture_options::PictureOptions;
use super::storage_locations::Locations;
use super::targets::TargetKind;

/// The data set requested.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a request is made once")]
pub enum Request {
    /// MNIST; or the built-in digits, with a notice, if it is neither on disk nor available for download.
    Auto,
    /// This data set only.
    Named(DatasetName),
    /// The IDX files in this folder.
    Dir(PathBuf),
    /// The file or folder at a path, of any kind.
    Path(PathRequest),
}

/// A file or folder that is requested, of any kind that holds data sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRequest {
    /// The file or folder.
    pub path: PathBuf,
    /// The names of its arrays.
    pub keys: ArrayKeys,
    /// The kind of the targets; none: what their type and shape suggest.
    pub targets: Option<TargetKind>,
    /// The names of the classes, labels or numbers that are its targets; none: those in the data, else their numbers.
    pub target_names: Option<Vec<String>>,
    /// How pictures are read, if it is a folder of pictures.
    pub pictures: PictureOptions,
    /// The known data set that is read, if it is a folder of several: of EMNIST's. None: the only one.
    pub known: Option<DatasetName>,
}

impl PathRequest {
    /// Returns the request of this file or folder, with the usual names of arrays.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (keys, pictures) = Default::default();
        Self { path: path.into(), keys, targets: None, target_names: None, pictures, known: None }
    }

    pub(super) fn options(&self) -> ArrayOptions {
        let Self { keys, targets, target_names, .. } = self.clone();
        ArrayOptions { keys, targets, target_names }
    }
}

/// How arrays were read, for a run's records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArrayOptions {
    /// The names of the arrays.
    pub keys: ArrayKeys,
    /// The kind of the targets, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<TargetKind>,
    /// The names of the targets, if they are not in the arrays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_names: Option<Vec<String>>,
}

/// A data set, in memory or streamed.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The training part.
    pub train: Dataset,
    /// The test part.
    pub test: Dataset,
    /// The origin of both.
    pub source: Source,
    /// Notes for the user, such as the folder the files were found in.
    pub notes: Vec<String>,
}

/// The test part of a data set, in memory or streamed.
#[derive(Clone, Debug)]
pub struct LoadedTest {
    /// The test images.
    pub test: Dataset,
    /// Its origin; for a folder only the test files.
    pub source: Source,
    /// Notes for the user.
    pub notes: Vec<String>,
}

impl From<Loaded> for LoadedTest {
    fn from(Loaded { test, source, notes, .. }: Loaded) -> Self {
        Self { test, source, notes }
    }
}

/// The origin of a data set, for a run's records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The known data set that the files belong to, in any folder; else the folder's name.
    pub name: String,
    /// The folder, absolute; none for built-in data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// A warning about the choice that the user must see; to be shown where it cannot be missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// The classes as the data names them, in the order of its labels, if they were matched with those of a network
    /// that has others or another order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// How the arrays were read, if they are in a file of arrays in the folder, or each in its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrays: Option<ArrayOptions>,
    /// How the pictures were read, if the folder is one of pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<PictureOptions>,
    /// The files: training images and labels, test images and labels; or images and labels. Of shards
    /// images and labels of each, training before test. Of pictures one entry for each part, with the digest of its
    /// images.
    pub files: Vec<SourceFile>,
}

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its name in the folder.
    pub name: String,
    /// SHA-256 of its contents, decompressed; 64 hexadecimal digits in lower case. For images that are
    /// streamed and have more than 256 MiB in total: "sampled:" and the SHA-256 of the file's length and of 16
    /// pieces of it.
    pub sha256: String,
}

impl Source {
    /// Returns the request that loads the same data again: the folder if it still exists, else, for a known data
    /// set, one in the data folder or in the cache that has its files. Nothing is downloaded, except for a
    /// record that has no folder.
    ///
    /// # Errors
    /// The folder no longer exists and nothing replaces it; or there was none, and the name is not that of a
    /// known data set.
    pub fn request(&self, locations: &Locations) -> Result<Request, DataError> {
        let known: Result<DatasetName, _> = self.name.parse();
        let Some(dir) = &self.dir else { return Ok(Request::Named(known?)) };
        if let Some(ArrayOptions { keys, targets, target_names }) = self.arrays.clone() {
            let path = match &self.files[..] {
                [file] => dir.join(&file.name),
                _ => dir.clone(),
            };
            return match path.exists() {
                true => Ok(Request::Path(PathRequest {
                    keys,
                    targets,
                    target_names,
                    ..PathRequest::new(path)
                })),
                false => Err(DataError::FileGone(path)),
            };
        }
        let known = known.ok();
        let found = |dir: PathBuf| match known.filter(|name| name.is_emnist()) {
            Some(_) => Request::Path(PathRequest { known, ..PathRequest::new(dir) }),
            None => Request::Dir(dir),
        };
        if dir.is_dir() {
            if let Some(pictures) = self.pictures {
                return Ok(Request::Path(PathRequest { pictures, ..PathRequest::new(dir) }));
            }
            return Ok(found(dir.clone()));
        }
        let others =
            known.into_iter().flat_map(|name| [locations.own(name), locations.cached(name)]);
        match others.flatten().find(|other| has_files(known, other)) {
            Some(other) => Ok(found(other)),
            None => Err(DataError::Gone { dir: dir.clone(), known }),
        }
    }

    /// Returns whether the last files of both, which are the test files, have the same contents, and of arrays the same
    /// ones are the test data.
    #[cfg(feature = "report")]
    pub(crate) fn has_test_files(&self, other: &Source) -> bool {
        let common = self.files.len().min(other.files.len());
        let last = |source: &Source| {
            let files = source.files.iter().rev().take(common);
            files.map(|file| file.sha256.clone()).collect::<Vec<_>>()
        };
        common > 0 && last(self) == last(other) && self.test_arrays() == other.test_arrays()
    }

    /// Returns the names of the arrays of test data, samples before targets; none for other data.
    #[cfg(feature = "report")]
    pub(crate) fn test_arrays(&self) -> Option<[&str; 2]> {
        self.arrays.as_ref().map(|arrays| [&arrays.keys.x_test[..], &arrays.keys.y_test])
    }

    /// Checks that `now`, loaded later, has the same contents, in any folder.
    ///
    /// # Errors
    /// The first file that differs.
    pub fn check_same(&self, now: &Source) -> Result<(), DataError> {
        let nothing = || "none".to_owned();
        let count = self.files.len().max(now.files.len());
        for (before, after) in (0..count).map(|i| (self.files.get(i), now.files.get(i))) {
            let [expected, found] = [before, after].map(|file| file.map(|file| &file.sha256));
            if expected != found {
                let name = after.or(before).map(|file| file.name.as_str()).unwrap_or_default();
                if let (Some(_), Some(dir)) = (&now.pictures, &now.dir) {
                    return Err(DataError::PicturesChanged {
                        part: name.to_owned(),
                        dir: dir.clone(),
                    });
                }
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

impl PictureKind {
    /// Returns the kind of the pictures of this source: that of a known data set, photographs for any other folder of
    /// pictures; none for other files.
    pub fn of(data: &Source) -> Option<Self> {
        let known = catalog::find(&data.name).ok().map(|entry| entry.pictures);
        known.or(data.pictures.is_some().then_some(PictureKind::Photos))
    }
}
