//! The libtorch under this process, for start-up checks and for `seqfit doctor`.

use std::path::PathBuf;

pub use crate::native::LibtorchError;
pub use crate::native::driver::{Driver, Gpu, query as query_driver};
use crate::native::library;
pub use crate::native::library::VersionError;

/// The version that this crate was compiled for.
pub fn expected_version() -> &'static str {
    library::expected_version()
}

/// The version that is loaded, as far as it can be told, else the expected one.
pub fn version() -> String {
    library::loaded_version().unwrap_or_else(|| library::expected_version().to_owned())
}

/// Refuses a libtorch of another version than the one compiled for, before its first use ends in a
/// crash. Every network that is built asks this first.
///
/// # Errors
/// Both versions, and what to do.
pub fn check_version() -> Result<(), VersionError> {
    library::check_version()
}

/// The folder that libtorch was loaded from.
pub fn folder() -> Option<PathBuf> {
    library::folder()
}

/// Whether that folder holds libtorch's CUDA half.
pub fn has_cuda_library() -> bool {
    library::cuda_library().is_some()
}
