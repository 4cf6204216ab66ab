//! A data set in two `.npy` files.

use std::path::Path;

use super::features_and_targets::{Part, check_counts};
use super::name_targets::named;
use super::named_arrays::inside;
use super::read::array;
use super::read_whole_file::whole;
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::targets::TargetKind;
use crate::formats::MemoryBudget;

/// Reads a data set from two `.npy` files, by the same rules as [`load_npz`](crate::data::load_npz).
///
/// # Errors
/// Like [`load_npz`](crate::data::load_npz).
pub fn load_npy(
    features: impl AsRef<Path>,
    targets: impl AsRef<Path>,
    kind: Option<TargetKind>,
) -> Result<Dataset, DataError> {
    let (features, targets) = (features.as_ref(), targets.as_ref());
    let read = |path: &Path| {
        let at = |problem| DataError::Arrays { path: path.to_owned(), problem: Box::new(problem) };
        let bytes = whole(path)?;
        // The file itself is its numbers.
        let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
        let key = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let array = array(&key, bytes, &mut budget).map_err(at)?;
        Ok::<_, DataError>((Part { key, array }, budget))
    };
    let (x, mut budget) = read(features)?;
    let (y, mut y_budget) = read(targets)?;
    let at = |path: &Path| {
        let path = path.to_owned();
        move |problem| DataError::Arrays { path: path.clone(), problem: Box::new(problem) }
    };
    check_counts(&x, &y).map_err(at(features))?;
    let pair = format!("{} and {}", x.key, y.key);
    let x = x.features(&mut budget).map_err(at(features))?;
    let y = y.targets(kind, &mut y_budget).map_err(at(targets))?;
    let y = named(y, None, None).map_err(at(targets))?;
    Dataset::from_arrays(x, y.train).map_err(|error| inside(error, features, pair))
}
