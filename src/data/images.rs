//! Single pictures for prediction: PNG and JPEG files, and IDX files of images.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ::image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

pub use super::prepare::prepare;

use super::error::DataError;
use super::idx::{self, Images};
use super::open::ordinary;

/// Rows and columns of the largest picture that is read.
const MAX_SIDE: u32 = 16_384;
/// Memory for a decoded picture.
const MAX_BYTES: u64 = 256 << 20;

/// A grey picture: 0 black, 255 white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gray {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// Row by row; `height * width` of them.
    pub pixels: Vec<u8>,
}

/// Images that a network takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// One image behind the other, each row by row, ink bright on dark.
    pub pixels: Vec<u8>,
    /// Whether the file holds one picture; an IDX file holds a list, if only of one.
    pub single: bool,
}

/// Why a picture cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageProblem {
    /// Not a kind of file that is read.
    #[error(
        "a picture must be a PNG or JPEG file, or an IDX file of images, found {found}: convert it"
    )]
    Format {
        /// What it is, as far as that can be told.
        found: String,
    },
    /// Begins as it should, and does not go on so.
    #[error("the picture is damaged ({0}): save or copy it again")]
    Damaged(String),
    /// Too many pixels.
    #[error(
        "a picture may have {MAX_SIDE} rows and columns and take {mebibytes} MiB of memory, found \
         more ({0}): make it smaller",
        mebibytes = MAX_BYTES >> 20
    )]
    TooLarge(String),
    /// A list of pixels that is no picture.
    #[error("a picture of {height}x{width} has {} pixels, found {found}", .height * .width)]
    Pixels {
        /// Number of rows.
        height: usize,
        /// Number of columns.
        width: usize,
        /// Number of pixels given.
        found: usize,
    },
    /// Another size than the network takes, where nothing may be changed.
    #[error(
        "the network takes images of {}x{} (height x width), found {}x{}: {cure}",
        .wanted[0], .wanted[1], .found[0], .found[1]
    )]
    Size {
        /// Height and width that the network takes.
        wanted: [usize; 2],
        /// Height and width that are there.
        found: [usize; 2],
        /// What helps.
        cure: &'static str,
    },
    /// Nothing drawn.
    #[error(
        "a picture must show something that stands out from its background, found an even one: \
         photograph the sign closer and with more light, dark on light or light on dark"
    )]
    Blank,
}

/// The images in the file at `path` for a network that takes `shape` ([height, width]). A picture
/// is [prepared](prepare), or with `as_it_is` taken unchanged; the images of an IDX file are always
/// taken unchanged.
///
/// # Errors
/// A file that cannot be read or is no picture, a blank picture, or a wrong size where nothing is
/// changed.
pub fn read(path: &Path, shape: [usize; 2], as_it_is: bool) -> Result<Prepared, DataError> {
    let at = |problem| DataError::Image {
        path: path.to_owned(),
        problem,
    };
    let mut start = Vec::new();
    ordinary(path)?
        .0
        .take(4)
        .read_to_end(&mut start)
        .map_err(|source| DataError::read(path, source))?;
    if idx::looks_like_idx(&start) {
        let Images {
            height,
            width,
            pixels,
            ..
        } = idx::read_images(path)?;
        check_size(
            [height, width],
            shape,
            "give an IDX file of images of this size",
        )
        .map_err(at)?;
        return Ok(Prepared {
            pixels,
            single: false,
        });
    }
    let gray = load(path)?;
    let pixels = if as_it_is {
        raw(&gray, shape)
    } else {
        prepare(&gray, shape)
    }
    .map_err(at)?;
    Ok(Prepared {
        pixels,
        single: true,
    })
}

/// Reads a PNG or JPEG file, turned as its EXIF data say; what is transparent becomes white.
///
/// # Errors
/// A file that cannot be read, is no PNG or JPEG, is damaged or too large.
pub fn load(path: &Path) -> Result<Gray, DataError> {
    let at = |problem| DataError::Image {
        path: path.to_owned(),
        problem,
    };
    let (file, _) = ordinary(path)?;
    let mut input = BufReader::new(file);
    let mut start = Vec::new();
    (&mut input)
        .take(16)
        .read_to_end(&mut start)
        .and_then(|_| input.seek(SeekFrom::Start(0)))
        .map_err(|source| DataError::read(path, source))?;
    let format = match ::image::guess_format(&start) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => format,
        other => {
            return Err(at(ImageProblem::Format {
                found: describe(&start, other.ok()),
            }));
        }
    };
    let decoded = decode(ImageReader::with_format(input, format));
    decoded.map(gray).map_err(|error| match error {
        ImageError::Limits(limit) => at(ImageProblem::TooLarge(limit.to_string())),
        ImageError::Unsupported(what) => at(ImageProblem::Format {
            found: what.to_string(),
        }),
        ImageError::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            DataError::read(path, error)
        }
        other => at(ImageProblem::Damaged(other.to_string())),
    })
}

/// The picture's pixels, unchanged.
///
/// # Errors
/// A picture of another size than `shape` ([height, width]).
pub fn raw(gray: &Gray, shape: [usize; 2]) -> Result<Vec<u8>, ImageProblem> {
    check_size(
        [gray.height, gray.width],
        shape,
        "give one of this size, or have it prepared",
    )?;
    gray.check()?;
    Ok(gray.pixels.clone())
}

impl Gray {
    pub(super) fn check(&self) -> Result<(), ImageProblem> {
        let &Gray {
            height,
            width,
            ref pixels,
        } = self;
        if height.checked_mul(width) == Some(pixels.len()) && !pixels.is_empty() {
            return Ok(());
        }
        Err(ImageProblem::Pixels {
            height,
            width,
            found: pixels.len(),
        })
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
    Err(ImageProblem::Size {
        wanted,
        found,
        cure,
    })
}

fn decode(mut reader: ImageReader<BufReader<File>>) -> Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // The decoder watches over its own memory, not over that of the picture it fills.
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

fn gray(image: DynamicImage) -> Gray {
    let (height, width) = (image.height() as usize, image.width() as usize);
    let pixels = match image {
        DynamicImage::ImageLuma8(image) => image.into_raw(),
        image if !image.color().has_alpha() => image.into_luma8().into_raw(),
        image => image
            .into_luma_alpha8()
            .pixels()
            .map(|pixel| {
                let [luma, alpha] = pixel.0.map(u32::from);
                ((luma * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            })
            .collect(),
    };
    Gray {
        height,
        width,
        pixels,
    }
}

fn describe(start: &[u8], format: Option<ImageFormat>) -> String {
    match format {
        Some(format) => format!("{format:?}"),
        None if start.is_empty() => "an empty file".to_owned(),
        None if start.trim_ascii_start().starts_with(b"<") => "a web page or an SVG".to_owned(),
        // ISO base media: 4 bytes of length, "ftyp", the brand.
        None if [&b"heic"[..], b"heix", b"mif1"]
            .iter()
            .any(|b| start.get(8..12) == Some(b)) =>
        {
            "HEIC, as phones save it".to_owned()
        }
        None if start.starts_with(b"%PDF") => "a PDF".to_owned(),
        None => "another kind of file".to_owned(),
    }
}

#[cfg(test)]
mod tests;
