//! Problems of files that several readers have in common.

/// A problem with the contents of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatProblem {
    /// A file that ends before what it announces.
    #[error("this is not a whole {format} file: {message}: fetch it again")]
    Cut {
        /// The kind of file.
        format: &'static str,
        /// The part that is missing.
        message: String,
    },
    /// A file that is damaged or forged: it contradicts its own checksum or structure.
    #[error("this {format} file is damaged: {message}: save it again, or fetch it again")]
    Damaged {
        /// The kind of file.
        format: &'static str,
        /// Which rule it breaks.
        message: String,
    },
    /// A complete file with contents that are not supported here.
    #[error("this {format} file has something that seqfit does not read: {message}")]
    Unsupported {
        /// The kind of file.
        format: &'static str,
        /// The unsupported part, and the cure.
        message: String,
    },
    /// A file that claims more than it can hold.
    #[error(
        "it asks for more than {most} bytes of memory, too many for a file of its length: if it is not damaged, \
         save it uncompressed"
    )]
    TooMuch {
        /// The number of bytes it may ask for.
        most: usize,
    },
    /// Too little memory.
    #[error("{bytes} bytes of memory are needed: free some, or use another machine")]
    Memory {
        /// The number of bytes.
        bytes: usize,
    },
}
