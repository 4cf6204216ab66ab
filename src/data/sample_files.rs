//! Pictures that stay in files, and are read when they are needed.

use std::fmt::Debug;

use super::error::DataError;

/// Files that hold the pictures of a data set.
pub(super) trait SampleFiles: Debug + Send + Sync {
    /// Fills `out` with the pixels of these samples, one after the other.
    ///
    /// # Errors
    /// A file that cannot be read, or that has changed.
    fn read(&self, samples: &[usize], out: &mut [u8]) -> Result<(), DataError>;
}
