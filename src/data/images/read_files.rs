//! PNG and JPEG files read and written, and IDX files of images read for a network.

use std::io::Read;
use std::path::Path;

use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

use super::decode::{self, Format};
use super::gray_image::{Gray, check_size};
use super::problem::ImageProblem;
use super::rgb_image::Rgb;
use crate::atomic_files;
use crate::data::error::DataError;
use crate::data::idx::{self, Images};
use crate::data::image_preparation::Preparation;
use crate::data::open_file::ordinary;
use crate::data::picture_shape::PictureShape;

/// Maximum memory for a decoded picture, and maximum length of a file.
const MAX_BYTES: u64 = 256 << 20;

/// Images that a network takes as input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// One image after the other, each row by row, gray ones with ink bright on dark; of images in color all of red
    /// first, then green and blue.
    pub pixels: Vec<u8>,
    /// Whether the file holds one picture; an IDX file holds a list, even if only of one.
    pub single: bool,
}

/// Reads the images in the file at `path` for a network that takes `shape`: [height, width] of gray ones, or a
/// [`PictureShape`] in color. A picture is converted by `preparation`; the images of an IDX file are always taken
/// unchanged.
///
/// # Errors
/// A file that cannot be read or is not a picture, or a picture that [`Preparation::apply`] rejects.
pub fn read(
    path: &Path,
    shape: impl Into<PictureShape>,
    preparation: Preparation,
) -> Result<Prepared, DataError> {
    let shape = shape.into();
    let at = |problem| DataError::Image { path: path.to_owned(), problem };
    let mut start = Vec::new();
    ordinary(path)?
        .0
        .take(4)
        .read_to_end(&mut start)
        .map_err(|source| DataError::read(path, source))?;
    if idx::looks_like_idx(&start) {
        let Images { shape: found, pixels, .. } = idx::read_images(path)?;
        if found.color != shape.color {
            return Err(at(ImageProblem::OtherColors { color: shape.color }));
        }
        check_size(found.size(), shape.size(), "give an IDX file of images of this size")
            .map_err(at)?;
        return Ok(Prepared { pixels, single: false });
    }
    let pixels = picture_in(&file_bytes(path)?, shape, preparation).map_err(at)?;
    Ok(Prepared { pixels, single: true })
}

/// Converts the bytes of a PNG or JPEG file to an image of a network.
pub(in crate::data) fn picture_in(
    bytes: &[u8],
    shape: PictureShape,
    preparation: Preparation,
) -> Result<Vec<u8>, ImageProblem> {
    picture_from_bytes(bytes, shape, preparation, MAX_BYTES)
}

/// Returns about how many bytes a picture takes when it is decoded; 0 if its header is damaged.
pub(in crate::data) fn decoded_size(bytes: &[u8]) -> u64 {
    format(bytes).map_or(0, |format| decode::decoded_size(bytes, format))
}

/// Like [`picture_in`]; decoded it takes at most `most` bytes.
pub(crate) fn picture_from_bytes(
    bytes: &[u8],
    shape: PictureShape,
    preparation: Preparation,
    most: u64,
) -> Result<Vec<u8>, ImageProblem> {
    let format = format(bytes)?;
    match shape.color {
        true => preparation.apply_rgb(&decode::decode_rgb(bytes, format, most)?, shape.size()),
        false => preparation.apply(&decode::decode(bytes, format, most)?, shape.size()),
    }
}

/// Reads a PNG or JPEG file, rotated according to its EXIF data. Transparent parts become white under
/// dark ink and black under light.
///
/// # Errors
/// A file that cannot be read, is not a PNG or JPEG, is damaged or too large.
pub fn load(path: &Path) -> Result<Gray, DataError> {
    let at = |problem| DataError::Image { path: path.to_owned(), problem };
    from_bytes(&file_bytes(path)?).map_err(at)
}

/// Like [`load`], in color.
///
/// # Errors
/// Like [`load`].
pub fn load_rgb(path: &Path) -> Result<Rgb, DataError> {
    let at = |problem| DataError::Image { path: path.to_owned(), problem };
    let bytes = file_bytes(path)?;
    format(&bytes).and_then(|format| decode::decode_rgb(&bytes, format, MAX_BYTES)).map_err(at)
}

/// Returns the bytes of a file that begins like a picture.
pub(in crate::data) fn file_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
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
    Ok(bytes)
}

/// Like [`load`], but from the file's bytes.
///
/// # Errors
/// Like [`load`].
pub fn from_bytes(bytes: &[u8]) -> Result<Gray, ImageProblem> {
    decode::decode(bytes, format(bytes)?, MAX_BYTES)
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
        let checked = self.check();
        save_png(&self.pixels, [self.height, self.width], ExtendedColorType::L8, checked, path)
    }
}

impl Rgb {
    /// Writes the picture as a PNG file, whole or not at all.
    ///
    /// # Errors
    /// A picture without pixels, or a file that cannot be written.
    pub fn save_png(&self, path: &Path) -> Result<(), DataError> {
        let checked = self.check();
        save_png(&self.pixels, [self.height, self.width], ExtendedColorType::Rgb8, checked, path)
    }
}

fn save_png(
    pixels: &[u8],
    size: [usize; 2],
    color: ExtendedColorType,
    checked: Result<(), ImageProblem>,
    path: &Path,
) -> Result<(), DataError> {
    let at = |problem| DataError::Image { path: path.to_owned(), problem };
    checked.map_err(at)?;
    let mut bytes = Vec::new();
    let [height, width] = size.map(|side| side as u32);
    // In memory only the picture's size can be invalid.
    PngEncoder::new(&mut bytes).write_image(pixels, width, height, color).map_err(|_| {
        at(ImageProblem::TooLarge { most: MAX_BYTES, found: format!("{height}x{width}") })
    })?;
    atomic_files::write(path, &bytes).map_err(|error| DataError::write(&error.path, error.source))
}
