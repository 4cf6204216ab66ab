//! The values of a tensor, which must be finite.

use super::dtype::Dtype;
use super::error::Problem;
use super::file_contents::ImportedTensor;
use crate::f32_range::first_not_finite;

/// Returns the values of a tensor if all of them are finite.
pub(super) fn finite(tensor: &ImportedTensor) -> Result<&[f32], Problem> {
    let name = || tensor.name.clone();
    let Some(values) = &tensor.values else {
        let found: Dtype = tensor.dtype.clone();
        return Err(Problem::Dtype { name: name(), found });
    };
    match first_not_finite(values) {
        None => Ok(values),
        Some(position) => {
            Err(Problem::NotFinite { name: name(), position, found: values[position] })
        }
    }
}
