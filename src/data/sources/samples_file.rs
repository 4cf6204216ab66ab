//! Samples without targets in files of arrays, to predict for.

use std::io::Read;
use std::path::Path;

use super::kind_of;
use super::source_kind::LoadFeatures;
use crate::data::arrays::{ArraysProblem, features_in_npy};
use crate::data::error::DataError;
use crate::data::features::Features;
use crate::data::open_file::ordinary;

/// The first bytes of a `.npy` file.
const NPY: &[u8] = b"\x93NUMPY";

/// Returns whether a file or a folder is one of arrays.
///
/// # Errors
/// A file that cannot be read.
pub fn looks_like_arrays(path: impl AsRef<Path>) -> Result<bool, DataError> {
    let path = path.as_ref();
    let is_npy = !path.is_dir() && start_of(path)?.starts_with(NPY);
    Ok(is_npy || reader(path).is_some())
}

/// Returns how samples are read from a file or a folder of named arrays.
fn reader(path: &Path) -> Option<LoadFeatures> {
    kind_of(path).ok()?.load_features
}

/// Reads the samples in a `.npy` file, or in one array of any file or folder of named arrays: the first of `keys` that it
/// has, else its only array. Of several arrays the name of that array is returned as well.
///
/// The types are those of [`load_npz`](crate::data::load_npz): u8 arrays of three or more axes are pixels.
///
/// # Errors
/// A file that cannot be read, is damaged or has none of the arrays, or an array that is no list of samples.
pub fn load_features(
    path: impl AsRef<Path>,
    keys: &[&str],
) -> Result<(Features, Option<String>), DataError> {
    let path = path.as_ref();
    if let Some(read) = reader(path) {
        return read(path, keys);
    }
    let start = start_of(path)?;
    if start.starts_with(NPY) {
        return Ok((features_in_npy(path)?, None));
    }
    let problem = ArraysProblem::NotNumpy(described(&start));
    Err(DataError::Arrays { path: path.to_owned(), problem: Box::new(problem) })
}

fn start_of(path: &Path) -> Result<Vec<u8>, DataError> {
    let mut start = Vec::new();
    let (file, _) = ordinary(path)?;
    file.take(16).read_to_end(&mut start).map_err(|source| DataError::read(path, source))?;
    Ok(start)
}

/// Says what a file that is none of arrays seems to be.
fn described(start: &[u8]) -> &'static str {
    match start {
        [] => "an empty file",
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, ..] => "a picture",
        _ if start.iter().all(|&byte| byte >= b' ' || byte.is_ascii_whitespace()) => "text",
        _ => "something else",
    }
}
