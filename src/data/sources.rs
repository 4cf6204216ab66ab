//! The kinds of data on disk, one file per kind, and their list, in which a path finds its kind.

mod cifar;
mod emnist;
pub(super) mod idx;
mod npy_folder;
mod npz;
#[cfg(feature = "images")]
mod picture_folder;
mod safetensors_file;
mod samples_file;
mod source_kind;

use std::fs;
use std::path::Path;

use super::Locations;
use super::catalog::DatasetName;
use super::error::DataError;
use super::source::{Loaded, LoadedTest, PathRequest};
use cifar::CIFAR;
use emnist::EMNIST;
use idx::IDX;
use npy_folder::NPY_FOLDER;
use npz::NPZ;
pub use npz::load_npz;
#[cfg(feature = "images")]
use picture_folder::PICTURES;
use safetensors_file::SAFETENSORS;
pub use samples_file::{load_features, looks_like_arrays};
use source_kind::SourceKind;

/// All kinds. The first that recognizes a path loads it.
const KINDS: &[SourceKind] = &[
    NPZ,
    SAFETENSORS,
    NPY_FOLDER,
    CIFAR,
    #[cfg(feature = "images")]
    PICTURES,
    EMNIST,
    IDX,
];

/// Loads both parts of the data at a path.
///
/// # Errors
/// A path that does not exist or is of no known kind; the errors of its kind.
pub(super) fn load(request: &PathRequest, locations: &Locations) -> Result<Loaded, DataError> {
    (kind_of(&request.path)?.load)(request, locations)
}

/// Loads the test part of the data at a path, the only one that has to be there.
///
/// # Errors
/// Like [`load`].
pub(super) fn load_test(
    request: &PathRequest,
    locations: &Locations,
) -> Result<LoadedTest, DataError> {
    (kind_of(&request.path)?.load_test)(request, locations)
}

/// Loads a known data set from a folder, if its files match.
type LoadKnown = fn(DatasetName, &Path) -> Result<Loaded, DataError>;

/// Returns what loads a known data set that is published as one archive; `None` for all others.
pub(super) fn of_archive(name: DatasetName) -> Option<LoadKnown> {
    match name {
        DatasetName::Cifar10 | DatasetName::Cifar100 => Some(cifar::known),
        name if name.is_emnist() => Some(emnist::known),
        _ => None,
    }
}

/// Returns whether a path is a folder of pictures with a folder for each class; never without the feature `images`.
pub fn is_picture_folder(path: impl AsRef<Path>) -> bool {
    #[cfg(feature = "images")]
    return kind_of(path.as_ref()).is_ok_and(|kind| kind.description == PICTURES.description);
    #[cfg(not(feature = "images"))]
    {
        let _ = path;
        false
    }
}

/// Returns the folder that was asked for if it is one of IDX files, which can also be streamed.
///
/// # Errors
/// Like [`load`], and options that IDX files do not have.
pub(super) fn idx_folder(request: &PathRequest) -> Result<Option<&Path>, DataError> {
    let is_idx = kind_of(&request.path)?.description == IDX.description;
    is_idx.then(|| idx::checked(request)).transpose()
}

/// Returns the kind of the data at a path, in words.
pub(super) fn description(path: &Path) -> &'static str {
    kind_of(path).map_or("other data", |kind| kind.description)
}

/// Like [`load`], for a copy: the pictures in a folder are decoded only when they are read.
///
/// # Errors
/// Like [`load`].
pub(super) fn load_to_copy(
    request: &PathRequest,
    locations: &Locations,
) -> Result<Loaded, DataError> {
    #[cfg(feature = "images")]
    if is_picture_folder(&request.path) {
        return picture_folder::load_in_files(request);
    }
    load(request, locations)
}

fn kind_of(path: &Path) -> Result<&'static SourceKind, DataError> {
    fs::metadata(path).map_err(|source| DataError::read(path, source))?;
    let known = KINDS.iter().find(|kind| (kind.recognizes)(path));
    known.ok_or_else(|| DataError::UnknownKind {
        path: path.to_owned(),
        known: KINDS.iter().map(|kind| kind.description).collect(),
    })
}
