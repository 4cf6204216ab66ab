//! Why there is no next batch.

use crate::data::error::DataError;
use crate::native::LibtorchError;

/// The reason there is no next batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataLoaderError {
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// libtorch reported an error.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}
