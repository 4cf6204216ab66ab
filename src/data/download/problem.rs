//! Why a file was not downloaded.

use super::super::error::DataError;

/// Why a file was not taken from a mirror.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorProblem {
    /// A response without the file.
    #[error("the server answered with status {0}")]
    Status(u16),
    /// No response, or one that broke off.
    #[error("{0}")]
    Connection(String),
    /// More bytes than the file has.
    #[error("the file has at most {limit} bytes, and the server sends more")]
    TooLong {
        /// Length of the file in bytes.
        limit: u64,
    },
    /// A part of the file that was not requested.
    #[error("the server was asked to resume at byte {wanted}, and sends something else")]
    Range {
        /// The first byte that was requested.
        wanted: u64,
    },
    /// Complete, but with other contents.
    #[error("the file must have SHA-256 {expected}, found {found}")]
    Checksum {
        /// The digest it should have.
        expected: String,
        /// The digest it has.
        found: String,
    },
    /// Nothing can be downloaded.
    #[error("this program was built without seqfit's cargo feature \"download\"")]
    Disabled,
}

/// The reason to stop using a mirror.
pub(super) enum Stop {
    /// The mirror's fault: the next one may do better.
    Mirror(MirrorProblem),
    /// This machine's fault.
    #[cfg_attr(not(feature = "download"), expect(dead_code, reason = "nothing is written"))]
    Here(DataError),
}

impl From<MirrorProblem> for Stop {
    fn from(problem: MirrorProblem) -> Self {
        Stop::Mirror(problem)
    }
}
