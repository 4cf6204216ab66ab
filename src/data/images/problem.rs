//! Problems of single pictures.

/// Maximum rows and columns of a picture that is read.
pub(super) const MAX_SIDE: u32 = 16_384;

/// Why a picture cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// A kind of file that is not supported.
    #[error(
        "a picture must be a PNG or JPEG file, or an IDX file of images, found {found}: {cure}"
    )]
    Format {
        /// The kind of file, as far as it can be recognized.
        found: String,
        /// The cure.
        cure: &'static str,
    },
    /// A valid beginning, but invalid contents after it.
    #[error(
        "a picture must be a whole {format} file, found a damaged one ({found}): save or copy it \
         again"
    )]
    Damaged {
        /// The kind of file that it begins as.
        format: &'static str,
        /// The problem, in words.
        found: &'static str,
    },
    /// Too many pixels, or too long a file.
    #[error(
        "a picture may have {MAX_SIDE} rows and columns and take {mebibytes} MiB of memory, found \
         {found}: make it smaller",
        mebibytes = .most >> 20
    )]
    TooLarge {
        /// Bytes that it may take.
        most: u64,
        /// Its size, in words.
        found: String,
    },
    /// A list of pixels that does not match the picture's size.
    #[error("a picture of {height}x{width} has {} pixels, found {found}", .height * .width)]
    Pixels {
        /// Number of rows.
        height: usize,
        /// Number of columns.
        width: usize,
        /// Number of pixels given.
        found: usize,
    },
    /// A size other than the network's, where the picture may not be changed.
    #[error(
        "the network takes images of {}x{} (height x width), found {}x{}: {cure}",
        .wanted[0], .wanted[1], .found[0], .found[1]
    )]
    Size {
        /// Height and width that the network takes.
        wanted: [usize; 2],
        /// Height and width of the picture.
        found: [usize; 2],
        /// The cure.
        cure: &'static str,
    },
    /// A preparation that makes gray images, for a network that takes color.
    #[error(
        "the preparation digit makes gray images, and these are in color: choose raw, resize, crop or letterbox"
    )]
    DigitInColor,
    /// A list of gray images for a network that takes color, or the reverse.
    #[error(
        "the network takes {}: give PNG or JPEG files, or an array",
        if *.color {
            "images in color, found an IDX file of gray ones"
        } else {
            "gray images, found an IDX file of images in color"
        }
    )]
    OtherColors {
        /// Whether the network takes color.
        color: bool,
    },
    /// A picture that shows nothing.
    #[error(
        "a picture must show something that stands out from its background, found a uniform one: \
         photograph the sign closer and with more light, dark on light or light on dark"
    )]
    Blank,
    /// A picture without anything that can be the sign.
    #[error(
        "a picture must show one whole sign on a plain sheet, found {found}: photograph the sheet \
         from above, the sign in its middle, or cut the picture so that only this is left"
    )]
    NoSign {
        /// The thing that is there instead.
        found: &'static str,
    },
}
