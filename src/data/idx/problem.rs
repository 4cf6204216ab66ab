//! Problems of IDX files.

/// Why a file is not a valid IDX file: the rule, the value found, the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxProblem {
    /// An empty file.
    #[error(
        "an IDX file begins with a header, found {}: download or write it again",
        if *.gzip { "a gzip of nothing" } else { "an empty file" }
    )]
    Empty {
        /// Whether the file is a gzip.
        gzip: bool,
    },
    /// The file ends within the header.
    #[error(
        "the header of an IDX file has {wanted} bytes, found {found}: the file was cut off, so \
         download or write it again"
    )]
    Header {
        /// Bytes that are there.
        found: usize,
        /// Bytes that should be there.
        wanted: usize,
    },
    /// Some other known kind of file.
    #[error("an IDX file is wanted, found {0}")]
    Other(&'static str),
    /// An unknown beginning.
    #[error(
        "the file must begin with the bytes {} (hexadecimal), found {}: it is not an IDX file, or a \
         damaged one",
        hex(.wanted),
        hex(.found)
    )]
    Magic {
        /// The first bytes.
        found: [u8; 4],
        /// The expected first bytes.
        wanted: [u8; 4],
    },
    /// Written in little-endian byte order.
    #[error(
        "the numbers in an IDX header have their most significant byte first, found the reverse: \
         write the file in big-endian order"
    )]
    Swapped,
    /// Values that are not u8.
    #[error(
        "values must be of type 0x08 (u8), found 0x{0:02X} ({name}): convert them to bytes from 0 \
         to 255",
        name = type_name(*.0)
    )]
    Type(u8),
    /// Labels where images are expected.
    #[error(
        "an images file is wanted (magic number 2051), found a labels file (2049): the two were \
         mixed up, so swap them or name them right"
    )]
    LabelsForImages,
    /// Images where labels are expected.
    #[error(
        "a labels file is wanted (magic number 2049), found an images file (2051, in color 2052): the two were \
         mixed up, so swap them or name them right"
    )]
    ImagesForLabels,
    /// Too many or too few dimensions.
    #[error(
        "{} must have {wanted} dimension{}, found {found}: reshape them",
        if *.wanted == 3 { "images (count, height, width; in color count, 3, height, width)" } else { "labels (count)" },
        if *.wanted == 3 { "s, in color 4" } else { "" }
    )]
    Rank {
        /// Dimensions in the header.
        found: u8,
        /// Expected dimensions.
        wanted: u8,
    },
    /// Images of several values per pixel that are not its colors.
    #[error(
        "images of 4 dimensions (count, channels, height, width) must have 3 channels, red, green and blue, or 1, found {0}: \
         put the channels before height and width, or reshape them"
    )]
    Channels(u32),
    /// A size of zero.
    #[error("every size in the header must be at least 1, found {0:?}: the file holds no data")]
    Zero(Vec<u32>),
    /// More values than can be counted.
    #[error(
        "the sizes in the header must multiply to less than 2^64, found {0:?}: the header is \
         damaged, so download or write the file again"
    )]
    Overflow(Vec<u32>),
    /// Longer or shorter than the header says.
    #[error(
        "the header asks for {claimed} bytes in all, found {found}: {}",
        if .found < .claimed {
            "the file was cut off, so download or write it again"
        } else {
            "there is something after the data, so download or write the file again"
        }
    )]
    Length {
        /// The length that the header implies, itself included.
        claimed: u64,
        /// The actual length.
        found: u64,
    },
    /// Longer than the header says, by an amount that was not read.
    #[error(
        "the header asks for {claimed} bytes in all, found more: there is something after the \
         data, so download or write the file again"
    )]
    Surplus {
        /// The length that the header implies, itself included.
        claimed: u64,
    },
    /// A gzip that cannot hold the contents that its header claims.
    #[error(
        "the header asks for {claimed} bytes in all, and a gzip of {length} bytes cannot hold more \
         than 1032 times its length: the header is damaged, so download or write the file again"
    )]
    Bomb {
        /// The length that the header implies, itself included.
        claimed: u64,
        /// Length of the file.
        length: u64,
    },
    /// A truncated gzip.
    #[error("the gzip ends too early, after {length} bytes: it was cut off, so download it again")]
    GzipCut {
        /// Length of the file.
        length: u64,
    },
    /// A corrupted gzip.
    #[error("the gzip is damaged ({0}): download it again")]
    GzipDamaged(String),
    /// A gzip that is followed by something else.
    #[error(
        "a gzip may be followed by another one or by zero bytes, found other bytes after its end: download or \
         copy the file again"
    )]
    GzipGarbage,
    /// A gzip where pieces of a plain file are to be read.
    #[error(
        "images that are streamed must be in a plain file, found a gzip: unpack it with gunzip, or write \
         shards with seqfit data shard"
    )]
    Packed,
    /// More than the machine's memory.
    #[error("{bytes} bytes of data do not fit into memory: use a smaller file or a larger machine")]
    Memory {
        /// The number of bytes requested.
        bytes: u64,
    },
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

fn type_name(code: u8) -> &'static str {
    match code {
        9 => "i8",
        11 => "i16",
        12 => "i32",
        13 => "f32",
        14 => "f64",
        _ => "unknown",
    }
}
