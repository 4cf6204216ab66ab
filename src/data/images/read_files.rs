//! PNG and JPEG files read and written, and IDX files of images read for a network.

use std::io::Read;
use std::path::Path;

use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

use super::decode::{self, Format};
use super::gray_image::{Gray, check_size};
use super::problem::ImageProblem;
use crate::atomic_files;
use crate::data::error::DataError;
use crate::data::idx::{self, Images};
use crate::data::image_preparation::Preparation;
use crate::data::open_file::ordinary;

/// Maximum memory for a decoded picture, and maximum length of a file.
const MAX_BYTES: u64 = 256 << 20;

/// Images that a network takes as input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// One image after the other, each row by row, ink bright on dark.
    pub pixels: Vec<u8>,
    /// Whether the file holds one picture; an IDX file holds a list, even if only of one.
    pub single: bool,
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
pub(in crate::data) fn read_picture(
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
    Format::of(start)
        .map_err(|(found, cure)| ImageProblem::Format { found: found.to_owned(), cure })
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
        atomic_files::write(path, &bytes)
            .map_err(|error| DataError::write(&error.path, error.source))
    }
}
