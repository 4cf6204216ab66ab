//! Errors of a network.

use super::spec::SpecError;
use crate::device::DeviceError;
use crate::free_memory::TooLittleMemory;
use crate::native::LibtorchError;
use crate::native::loaded_libtorch::VersionError;

/// An error of a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The description breaks a rule.
    #[error("this network cannot be built: {0}")]
    Spec(#[from] SpecError),
    /// The libtorch in use is not the one that this crate was built for.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The weights do not fit in memory.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The input has the wrong shape.
    #[error(
        "the network takes a batch of samples of shape {expected:?}, found a tensor of shape \
         {found:?}: reshape it, the batch first"
    )]
    Input {
        /// The shape of one sample.
        expected: Vec<usize>,
        /// The whole tensor's shape.
        found: Vec<i64>,
    },
    /// Views are for pictures.
    #[error(
        "test-time augmentation is for pictures of at least 2 x 2 pixels, found samples of shape {0:?}: leave it out"
    )]
    NoPictures(Vec<usize>),
    /// libtorch reported an error.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl ModelError {
    /// Converts to an error of libtorch's, for callers that know that the network and its input are valid.
    pub(crate) fn into_libtorch(self) -> LibtorchError {
        match self {
            Self::Libtorch(error) => error,
            other => LibtorchError::other(&other.to_string()),
        }
    }
}
