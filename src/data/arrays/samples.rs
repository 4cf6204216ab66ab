//! Samples without targets.

use std::path::Path;

use super::features_and_targets::Part;
use super::named_arrays::{Failure, NamedArrays};
use super::problem::ArraysProblem;
use super::read::array;
use super::read_whole_file::whole;
use crate::data::error::DataError;
use crate::data::features::Features;
use crate::formats::MemoryBudget;

/// Reads the samples in one of several arrays: the first of `keys` that is there, else the only array. Of several arrays
/// the name of that one is returned as well.
pub(in crate::data) fn features_in<T: NamedArrays>(
    path: &Path,
    keys: &[&str],
) -> Result<(Features, Option<String>), DataError> {
    let at = |problem| DataError::Arrays { path: path.to_owned(), problem: Box::new(problem) };
    let mut arrays = T::open(path)?;
    let names = arrays.names().to_vec();
    let key = match (keys.iter().find(|key| names.iter().any(|name| name == *key)), &names[..]) {
        (Some(key), _) => (*key).to_owned(),
        (None, [only]) => only.clone(),
        (None, _) => {
            let key = keys.first().copied().unwrap_or_default().to_owned();
            let found = if names.is_empty() { "no arrays".to_owned() } else { names.join(", ") };
            return Err(at(ArraysProblem::Missing { missing: vec![(key, "x")], found }));
        }
    };
    let mut budget = arrays.budget();
    let array = arrays.read(&key, &mut budget).map_err(|failure| match failure.of_numbers() {
        Failure::Problem(problem) => at(problem),
        Failure::Data(error) => error,
    })?;
    let features = Part { key: key.clone(), array }.features(&mut budget).map_err(at)?;
    Ok((features, (names.len() > 1).then_some(key)))
}

/// Reads the samples in a `.npy` file.
pub(in crate::data) fn features_in_npy(path: &Path) -> Result<Features, DataError> {
    let at = |problem| DataError::Arrays { path: path.to_owned(), problem: Box::new(problem) };
    let bytes = whole(path)?;
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
    let key = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let array = array(&key, bytes, &mut budget).map_err(ArraysProblem::of_numbers).map_err(at)?;
    Part { key, array }.features(&mut budget).map_err(at)
}
