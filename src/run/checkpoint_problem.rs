//! Why a checkpoint, or its file, cannot be used.

use std::io;

use crate::tensors::TensorsError;
use crate::train::SnapshotError;

/// The version of the format.
pub(super) const FORMAT: u32 = 1;
/// Enough for several hundred thousand epochs; parsed JSON takes many times the memory of its text.
pub(super) const MOST_STATE: usize = 64 << 20;

/// Why a checkpoint's bytes cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The checksum is missing.
    #[error(
        "a checkpoint must hold its SHA-256, found none: it is another kind of file, or damaged"
    )]
    NoChecksum,
    /// The bytes differ from those that were written.
    #[error("its contents must have SHA-256 {expected}, found {found}: it is damaged")]
    Checksum {
        /// The digest stored in the file.
        expected: String,
        /// The digest of the file's contents.
        found: String,
    },
    /// The tensors cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorsError),
    /// The state cannot be read or written.
    #[error("its state must follow checkpoint format {FORMAT}: {0}")]
    State(#[from] serde_json::Error),
    /// The state is longer than any training produces.
    #[error("its state must have at most {MOST_STATE} bytes, found {0}")]
    Long(usize),
    /// The file has another format version.
    #[error("its format must be {FORMAT}, found {0}: use the seqfit that wrote it")]
    Format(u32),
    /// A tensor that does not belong in a checkpoint.
    #[error("its tensors must be weights, averages, moments or those of callbacks, found {0:?}")]
    Name(String),
}

/// Why a file in the folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is not an intact checkpoint.
    #[error(transparent)]
    Contents(#[from] CheckpointError),
    /// Its name gives another position than its contents.
    #[error("its name must match its contents, found {found} inside")]
    Place {
        /// The name that its contents call for.
        found: String,
    },
    /// It is intact, but this training cannot resume from it.
    #[error("it does not fit the run: {0}")]
    Unfit(#[from] SnapshotError),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

impl Problem {
    /// Returns whether the file itself may be fine: another version of seqfit can read it, or it may become
    /// readable again.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Contents(CheckpointError::Format(_)))
    }
}
