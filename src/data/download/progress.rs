//! The progress of a download.

/// The progress of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The file's name.
    pub file: String,
    /// Bytes downloaded so far.
    pub done: u64,
    /// Bytes in total.
    pub total: u64,
}
