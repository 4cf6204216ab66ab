//! Single pictures for prediction: PNG and JPEG files, and IDX files of images.

mod decode;

use std::io::Read;
use std::path::Path;

use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

pub use super::prepare::prepare;

use super::error::DataError;
use super::idx::{self, Images};
use super::open::ordinary;
use super::preparation::Preparation;
use crate::files;
use decode::Format;

/// Maximum rows and columns of a picture that is read.
const MAX_SIDE: u32 = 16_384;
/// Maximum memory for a decoded picture, and maximum length of a file.
const MAX_BYTES: u64 = 256 << 20;

/// A gray picture: 0 black, 255 white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gray {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// Row by row; `height * width` of them.
    pub pixels: Vec<u8>,
}

/// Images that a network takes as input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// One image after the other, each row by row, ink bright on dark.
    pub pixels: Vec<u8>,
    /// Whether the file holds one picture; an IDX file holds a list, even if only of one.
    pub single: bool,
}

/// Why a picture cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// A kind of file that is not supported.
    #[error(
        "a picture must be a PNG or JPEG file, or an IDX file of images, found {found}: convert it"
    )]
    Format {
        /// The kind of file, as far as it can be recognized.
        found: String,
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

/// Reads the images in the file at `path` for a network that takes `shape` ([height, width]). A
/// picture is converted by `preparation`; the images of an IDX file are always taken unchanged.
///
/// # Errors
/// A file that cannot be read or is not a picture, or a picture that [`Preparation::apply`] rejects.
pub fn read(
    path: &Path,
    shape: [usize; 2],
    preparation: Preparation,
) -> Result<Prepared, DataError> {
    let at = |problem| DataError::Image { path: path.to_owned(), problem };
    let mut start = Vec::new();
    ordinary(path)?
        .0
        .take(4)
        .read_to_end(&mut start)
        .map_err(|source| DataError::read(path, source))?;
    if idx::looks_like_idx(&start) {
        let Images { height, width, pixels, .. } = idx::read_images(path)?;
        check_size([height, width], shape, "give an IDX file of images of this size")
            .map_err(at)?;
        return Ok(Prepared { pixels, single: false });
    }
    Ok(Prepared { pixels: read_picture(path, shape, preparation)?, single: true })
}

/// Like [`read`], but only for a picture.
pub(super) fn read_picture(
    path: &Path,
    shape: [usize; 2],
    preparation: Preparation,
) -> Result<Vec<u8>, DataError> {
    let at = |problem| DataError::Image { path: path.to_owned(), problem };
    preparation.apply(&load(path)?, shape).map_err(at)
}

/// Reads a PNG or JPEG file, rotated according to its EXIF data. Transparent parts become white under
/// dark ink and black under light.
///
/// # Errors
/// A file that cannot be read, is not a PNG or JPEG, is damaged or too large.
pub fn load(path: &Path) -> Result<Gray, DataError> {
    let at = |problem| DataError::Image { path: path.to_owned(), problem };
    let broken = |source| DataError::read(path, source);
    let (file, length) = ordinary(path)?;
    let mut bytes = Vec::new();
    (&file).take(16).read_to_end(&mut bytes).map_err(broken)?;
    format(&bytes).map_err(at)?;
    if length > MAX_BYTES {
        let found = format!("a file of {} MiB", length.div_ceil(1 << 20));
        return Err(at(ImageProblem::TooLarge { most: MAX_BYTES, found }));
    }
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(broken)?;
    from_bytes(&bytes).map_err(at)
}

/// Like [`load`], but from the file's bytes.
///
/// # Errors
/// Like [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<Gray, ImageProblem> {
    from_bytes_within(bytes, MAX_BYTES)
}

/// Like [`from_bytes`], but the picture takes at most `most` bytes of memory.
///
/// # Errors
/// Like [`load`].
pub(crate) fn from_bytes_within(bytes: &[u8], most: u64) -> Result<Gray, ImageProblem> {
    decode::decode(bytes, format(bytes)?, most)
}

fn format(bytes: &[u8]) -> Result<Format, ImageProblem> {
    let start = &bytes[..bytes.len().min(16)];
    Format::of(start).map_err(|found| ImageProblem::Format { found: found.to_owned() })
}

/// Returns the picture's pixels, unchanged.
///
/// # Errors
/// A picture of another size than `shape` ([height, width]).
pub fn raw(gray: &Gray, shape: [usize; 2]) -> Result<Vec<u8>, ImageProblem> {
    const CURE: &str =
        "give one of this size, or choose --prepare resize (the whole picture) or --prepare digit";
    check_size([gray.height, gray.width], shape, CURE)?;
    gray.check()?;
    Ok(gray.pixels.clone())
}

impl Gray {
    /// Writes the picture as a PNG file, whole or not at all.
    ///
    /// # Errors
    /// A picture without pixels, or a file that cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<(), DataError> {
        let at = |problem| DataError::Image { path: path.to_owned(), problem };
        self.check().map_err(at)?;
        let mut bytes = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        // In memory only the picture's size can be invalid.
        PngEncoder::new(&mut bytes)
            .write_image(&self.pixels, width, height, ExtendedColorType::L8)
            .map_err(|_| {
                at(ImageProblem::TooLarge { most: MAX_BYTES, found: format!("{height}x{width}") })
            })?;
        files::write(path, &bytes).map_err(|error| DataError::write(&error.path, error.source))
    }

    pub(super) fn check(&self) -> Result<(), ImageProblem> {
        let &Gray { height, width, ref pixels } = self;
        if height.checked_mul(width) == Some(pixels.len()) && !pixels.is_empty() {
            return Ok(());
        }
        Err(ImageProblem::Pixels { height, width, found: pixels.len() })
    }
}

fn check_size(
    found: [usize; 2],
    wanted: [usize; 2],
    cure: &'static str,
) -> Result<(), ImageProblem> {
    if found == wanted {
        return Ok(());
    }
    Err(ImageProblem::Size { wanted, found, cure })
}

#[cfg(test)]
mod tests;
