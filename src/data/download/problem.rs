//! Why a file was not downloaded.

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

/// The failure of a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The file's address.
    pub url: String,
    /// Why the file was not downloaded from there.
    pub problem: MirrorProblem,
}
