//! Decoding PNG and JPEG files to pictures, gray or in color.

use std::io::{self, Cursor};

use ::image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::gray_image::Gray;
use super::problem::{ImageProblem, MAX_SIDE};
use super::rgb_image::Rgb;
use crate::message_text::TextFile;

/// Memory that any picture may take; beyond it a multiple of its file's length: a few bytes can claim
/// millions of pixels. Deflate compresses up to 1032 to 1; real pictures are nowhere near that.
const SMALL: u64 = 1 << 20;
const RATIO: u64 = 1032;

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
}

impl Format {
    /// Recognizes the format by the first 16 bytes; the error describes other kinds, and gives the cure.
    pub fn of(start: &[u8]) -> Result<Self, (&'static str, &'static str)> {
        match ::image::guess_format(start).ok() {
            Some(ImageFormat::Png) => Ok(Format::Png),
            Some(ImageFormat::Jpeg) => Ok(Format::Jpeg),
            other => Err(describe(start, other)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
        }
    }

    fn kind(self) -> ImageFormat {
        match self {
            Format::Png => ImageFormat::Png,
            Format::Jpeg => ImageFormat::Jpeg,
        }
    }
}

/// Returns the picture in gray, on a background that [`ground`] chooses; decoded it takes at most `most` bytes.
pub(super) fn decode(bytes: &[u8], format: Format, most: u64) -> Result<Gray, ImageProblem> {
    Ok(gray(decoded(bytes, format, most)?))
}

/// Returns the picture in color, on the same background.
pub(super) fn decode_rgb(bytes: &[u8], format: Format, most: u64) -> Result<Rgb, ImageProblem> {
    Ok(rgb(decoded(bytes, format, most)?))
}

/// Returns about how many bytes a picture takes; 0 if its header is damaged.
pub(super) fn decoded_size(bytes: &[u8], format: Format) -> u64 {
    let reader = ImageReader::with_format(Cursor::new(bytes), format.kind());
    reader.into_dimensions().map_or(0, |(width, height)| 3 * u64::from(width) * u64::from(height))
}

/// Returns the picture as it is in the file, rotated according to its EXIF data.
fn decoded(bytes: &[u8], format: Format, most: u64) -> Result<DynamicImage, ImageProblem> {
    let damaged = |found| ImageProblem::Damaged { format: format.name(), found };
    const CUT: &str = "it ends too early";
    // The decoder would fill in the missing part.
    if format == Format::Jpeg && !is_whole_jpeg(bytes) {
        return Err(damaged(CUT));
    }
    let problem = |error| match error {
        ImageError::Limits(_) => {
            ImageProblem::TooLarge { most, found: claimed_size(bytes, format) }
        }
        ImageError::Unsupported(_) => {
            let found = format!("a {} file of a rare kind", format.name());
            ImageProblem::Format { found, cure: "convert it" }
        }
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => damaged(CUT),
        _ => damaged("its contents cannot be decoded"),
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format.kind());
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(most);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(problem)?;
    // The decoder limits its own memory, not that of the picture it fills.
    let ((width, height), memory) = (decoder.dimensions(), decoder.total_bytes());
    if width.max(height) > MAX_SIDE || memory > most {
        let memory = memory.div_ceil(1 << 20);
        let found = format!("{height}x{width} (height x width), {memory} MiB");
        return Err(ImageProblem::TooLarge { most, found });
    }
    if memory > SMALL + RATIO.saturating_mul(bytes.len() as u64) {
        return Err(damaged("it is too short for the size that it claims"));
    }
    let orientation = decoder.orientation().map_err(problem)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(problem)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Returns the size of a picture that the decoder gave up on, in words: in a PNG it is at byte 16.
fn claimed_size(bytes: &[u8], format: Format) -> String {
    match (format, bytes.get(16..24).and_then(|size| size.split_first_chunk())) {
        (Format::Png, Some((width, height))) => {
            let [width, height] = [*width, height.try_into().unwrap_or_default()];
            let [width, height] = [width, height].map(u32::from_be_bytes);
            format!("{height}x{width} (height x width) with all that goes with it")
        }
        _ => "more".to_owned(),
    }
}

/// Returns whether a JPEG reaches its end marker. Thumbnails in it, which have their own end marker, are
/// skipped with the segment they are in; bytes that phones append after the end do not matter.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    // A 0xff among the values is followed by 0; 0xff may be padding before a marker; restarts and the
    // start have no length.
    let is_segment = |pair: &[u8]| {
        pair[0] == 0xff
            && !matches!(pair[1], 0x00 | 0x01 | 0xff)
            && !(0xd0..=0xd8).contains(&pair[1])
    };
    let mut rest = bytes;
    while let Some(at) = rest.windows(2).position(is_segment) {
        if rest[at + 1] == END {
            return true;
        }
        let segment = &rest[at + 2..];
        let Some(length) = segment.first_chunk::<2>() else { return false };
        // The length counts its own two bytes.
        match segment.get(usize::from(u16::from_be_bytes(*length)).max(2)..) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    false
}

fn gray(image: DynamicImage) -> Gray {
    let (height, width) = (image.height() as usize, image.width() as usize);
    let pixels = match image {
        DynamicImage::ImageLuma8(image) => image.into_raw(),
        image if !image.color().has_alpha() => image.into_luma8().into_raw(),
        image => {
            let image = image.into_luma_alpha8();
            let ground = ground(image.as_raw());
            let laid = |pair: &[u8]| {
                let [luma, alpha] = [pair[0], pair[1]].map(u32::from);
                ((luma * alpha + ground * (255 - alpha) + 127) / 255) as u8
            };
            image.as_raw().chunks_exact(2).map(laid).collect()
        }
    };
    Gray { height, width, pixels }
}

/// Converts to 8 bits of red, green and blue; transparent parts show the background that the gray picture has.
fn rgb(image: DynamicImage) -> Rgb {
    let (height, width) = (image.height() as usize, image.width() as usize);
    if !image.color().has_alpha() {
        return Rgb { height, width, pixels: image.into_rgb8().into_raw() };
    }
    let ground = ground(image.to_luma_alpha8().as_raw());
    let laid = |pixel: &[u8]| {
        let alpha = u32::from(pixel[3]);
        [0, 1, 2]
            .map(|i| ((u32::from(pixel[i]) * alpha + ground * (255 - alpha) + 127) / 255) as u8)
    };
    let pixels = image.into_rgba8().as_raw().chunks_exact(4).flat_map(laid).collect();
    Rgb { height, width, pixels }
}

/// Returns the background for the transparent parts of a picture of alternating gray and alpha, 0 or 255. Ink
/// alone gets the background it stands out from; a picture that is mostly visible, and shows light and dark,
/// includes its own paper, and gets a background like that.
fn ground(pairs: &[u8]) -> u32 {
    // Levels of 255, as a standard deviation: ink alone is more even than ink on paper.
    const EVEN: f64 = 16.0;
    let (mut visible, mut sum, mut squares) = (0u64, 0u64, 0u64);
    for pair in pairs.chunks_exact(2) {
        let [luma, alpha] = [pair[0], pair[1]].map(u64::from);
        visible += alpha;
        sum += luma * alpha;
        squares += luma * luma * alpha;
    }
    if visible == 0 {
        return 255;
    }
    let mean = sum as f64 / visible as f64;
    let deviation = (squares as f64 / visible as f64 - mean * mean).max(0.0).sqrt();
    let fraction = visible as f64 / (255.0 * (pairs.len() / 2) as f64);
    let has_paper = fraction > 0.5 && deviation > EVEN;
    if (mean < 127.5) == has_paper { 0 } else { 255 }
}

/// Describes a file that is not a PNG or JPEG, and gives the cure: only pictures can be converted.
fn describe(start: &[u8], format: Option<ImageFormat>) -> (&'static str, &'static str) {
    const CONVERT: &str = "convert it";
    const OTHER: &str = "give the picture itself";
    let picture = match format {
        Some(ImageFormat::Gif) => Some("a GIF picture"),
        Some(ImageFormat::WebP) => Some("a WebP picture"),
        Some(ImageFormat::Tiff) => Some("a TIFF picture"),
        Some(ImageFormat::Bmp) => Some("a BMP picture"),
        Some(ImageFormat::Ico) => Some("an icon (ICO)"),
        Some(ImageFormat::Avif) => Some("an AVIF picture"),
        Some(ImageFormat::Pnm) => Some("a PNM picture (PBM, PGM or PPM)"),
        Some(ImageFormat::Qoi) => Some("a QOI picture"),
        Some(ImageFormat::Dds) => Some("a DDS picture"),
        Some(ImageFormat::Hdr) => Some("an HDR picture"),
        Some(ImageFormat::OpenExr) => Some("an OpenEXR picture"),
        Some(_) => Some("another kind of picture"),
        // ISO base media: 4 bytes of length, "ftyp", the brand.
        None if [&b"heic"[..], b"heix", b"mif1"].iter().any(|b| start.get(8..12) == Some(b)) => {
            Some("HEIC, as phones save it")
        }
        None if start.starts_with(b"%PDF") => Some("a PDF"),
        None => None,
    };
    match (picture, TextFile::of(start)) {
        (Some(picture), _) => (picture, CONVERT),
        _ if start.is_empty() => ("an empty file", "save or copy it again"),
        (None, Some(TextFile::Markup)) => {
            ("a web page or an SVG", "download the picture itself, or convert the SVG")
        }
        (None, Some(TextFile::LfsPointer)) => {
            ("a Git LFS pointer", "fetch the picture with git lfs pull")
        }
        (None, Some(TextFile::Other)) => ("a text file", OTHER),
        (None, None) => ("another kind of file", OTHER),
    }
}
