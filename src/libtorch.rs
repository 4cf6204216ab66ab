//! The libtorch that this process uses, for startup checks and for `seqfit doctor`.

use std::path::PathBuf;

pub use crate::native::LibtorchError;
use crate::native::loaded_libtorch;
pub use crate::native::loaded_libtorch::{MissingError, VersionError};
pub use crate::native::nvidia_driver::{Driver, Gpu, query as query_driver};
#[cfg(target_os = "linux")]
pub use crate::native::process::{ProcessCopy, copy_process, skip_destructors};

/// Returns the version that this crate was compiled for.
pub fn expected_version() -> &'static str {
    loaded_libtorch::expected_version()
}

/// Returns the version that is loaded, if it can be determined, else the expected one.
pub fn version() -> String {
    loaded_libtorch::loaded_version()
        .unwrap_or_else(|| loaded_libtorch::expected_version().to_owned())
}

/// Makes sure that libtorch is loaded, in a program that starts without it (`scripts/relocatable_program.py`): the
/// program is then started again. Call it before threads are started.
///
/// # Errors
/// libtorch is not where the dynamic loader looks for it.
pub fn ensure_loaded() -> Result<(), MissingError> {
    loaded_libtorch::ensure_loaded()
}

/// Refuses a libtorch of another version than the one compiled for, before its first use ends in a crash.
/// Called before every network is built.
///
/// # Errors
/// Both versions, and how to fix it.
pub fn check_version() -> Result<(), VersionError> {
    loaded_libtorch::check_version()
}

/// Returns the folder that libtorch was loaded from, or `None` if it is not loaded.
pub fn folder() -> Option<PathBuf> {
    loaded_libtorch::folder()
}

/// Returns whether that folder contains libtorch's CUDA half.
pub fn has_cuda_library() -> bool {
    loaded_libtorch::cuda_library().is_some()
}
