//! The kinds of data on disk, one file per kind, and their list, in which a path finds its kind.

pub(super) mod idx;
mod npy_folder;
mod npz;
mod safetensors_file;
mod samples_file;
mod source_kind;

use std::fs;
use std::path::Path;

use super::error::DataError;
use super::source::{Loaded, LoadedTest, PathRequest};
use idx::IDX;
use npy_folder::NPY_FOLDER;
use npz::NPZ;
pub use npz::load_npz;
use safetensors_file::SAFETENSORS;
pub use samples_file::{load_features, looks_like_arrays};
use source_kind::SourceKind;

/// All kinds. The first that recognizes a path loads it.
const KINDS: [SourceKind; 4] = [NPZ, SAFETENSORS, NPY_FOLDER, IDX];

/// Loads both parts of the data at a path.
///
/// # Errors
/// A path that does not exist or is of no known kind; the errors of its kind.
pub(super) fn load(request: &PathRequest) -> Result<Loaded, DataError> {
    (kind_of(&request.path)?.load)(request)
}

/// Loads the test part of the data at a path, the only one that has to be there.
///
/// # Errors
/// Like [`load`].
pub(super) fn load_test(request: &PathRequest) -> Result<LoadedTest, DataError> {
    (kind_of(&request.path)?.load_test)(request)
}

/// Returns the folder that was asked for if it is one of IDX files, which can also be streamed.
///
/// # Errors
/// Like [`load`], and options that IDX files do not have.
pub(super) fn idx_folder(request: &PathRequest) -> Result<Option<&Path>, DataError> {
    let is_idx = kind_of(&request.path)?.description == IDX.description;
    is_idx.then(|| idx::checked(request)).transpose()
}

fn kind_of(path: &Path) -> Result<&'static SourceKind, DataError> {
    const ALL: &[SourceKind] = &KINDS;
    fs::metadata(path).map_err(|source| DataError::read(path, source))?;
    let known = ALL.iter().find(|kind| (kind.recognizes)(path));
    known.ok_or_else(|| DataError::UnknownKind {
        path: path.to_owned(),
        known: ALL.iter().map(|kind| kind.description).collect(),
    })
}
