//! NumPy's `.npy` format: one array, for checks in Python.

use std::path::Path;

use tch::{TchError, Tensor};

use super::ExportError;
use crate::atomic_files::{self, WriteError};
use crate::native::LibtorchError;

/// Writes `tensor` to `path`.
///
/// # Errors
/// A file that cannot be written. No partial file remains.
pub fn save(tensor: &Tensor, path: &Path) -> Result<(), ExportError> {
    atomic_files::write_with(path, |temporary| {
        tensor.write_npy(temporary).map_err(|error| match error {
            TchError::Io(source) => WriteError::new(path, 0, source).into(),
            other => LibtorchError::from(other).into(),
        })
    })
}
