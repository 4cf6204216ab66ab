//! IDX, the file format of MNIST: a magic number, sizes, values; plain or in gzip.
//!
//! ```text
//! 0 0 8 rank   u8 values (8) in `rank` dimensions: 3 for gray images, 4 for images in color, 1 for labels
//! size ...     `rank` sizes, u32, most significant byte first
//! value ...    one byte per value, the product of the sizes in all
//! ```
//!
//! The sizes of images are their number, height and width, and in color 3 after the number: the red, green and blue
//! values of an image are planes, one after the other.
//!
//! The reader trusts nothing. A plain file's length is compared with its header before memory is
//! allocated. A gzip's header is believed only up to deflate's best compression ratio, memory beyond 16 times
//! the file's length is allocated only once that much has been decompressed, and not a byte more than the
//! header claims is kept. Gzip files are detected by their first bytes, not by name.

mod encode;
mod gzip;
mod header;
pub(super) mod problem;

use std::io::{self, BufReader, Read};
use std::path::Path;

pub(super) use encode::header;
pub use encode::{encode_images, encode_labels};
pub use problem::IdxProblem;

pub(super) use gzip::Members;

use self::header::{Header, Kind, PREFIX};
use super::error::DataError;
use super::open_file::ordinary;
use super::picture_shape::PictureShape;
use super::sha256::{Hashing, Sha256Hex};

/// Deflate's best ratio is 1032:1 (a 258-byte match in 2 bits).
const MAX_RATIO: u64 = 1032;
/// Memory that is allocated for a gzip at once, as a multiple of its length.
const TRUSTED_RATIO: u64 = 16;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The content of an images file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Number of images.
    pub count: usize,
    /// The shape of each.
    pub shape: PictureShape,
    /// All pixels, image by image, of an image in color plane by plane, row by row.
    pub pixels: Vec<u8>,
    /// Digests of the file.
    pub digests: Digests,
}

/// The content of a labels file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// One label for each image.
    pub values: Vec<u8>,
    /// Digests of the file.
    pub digests: Digests,
}

/// Digests that identify a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256 of the file as it is.
    pub file: Sha256Hex,
    /// SHA-256 of the contents: of the decompressed gzip, or of the plain file.
    pub contents: Sha256Hex,
}

/// Reads an images file.
///
/// # Errors
/// A file that cannot be read, or that is not exactly one IDX file of u8 values in 3 dimensions, or 4 in color.
pub fn read_images(path: &Path) -> Result<Images, DataError> {
    let (file, length) = ordinary(path)?;
    images_from(file, length, path)
}

/// Reads a labels file.
///
/// # Errors
/// A file that cannot be read, or that is not exactly one IDX file of u8 values in 1 dimension.
pub fn read_labels(path: &Path) -> Result<Labels, DataError> {
    let (file, length) = ordinary(path)?;
    labels_from(file, length, path)
}

/// The header of a plain images file.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainImages {
    /// Number of images.
    pub count: usize,
    /// The shape of each.
    pub shape: PictureShape,
    /// Length of the header, in bytes.
    pub bytes: u64,
}

/// Reads the header of a plain images file, and compares it with the file's `length`.
pub(super) fn plain_images(
    input: impl Read,
    length: u64,
    name: &Path,
) -> Result<PlainImages, DataError> {
    let mut prefix = Vec::with_capacity(PREFIX);
    let read = input.take(PREFIX as u64).read_to_end(&mut prefix);
    read.map_err(|source| DataError::read(name, source))?;
    if prefix.starts_with(&GZIP) {
        return Err(at(name)(IdxProblem::Packed));
    }
    let header = Header::parse(&prefix, Kind::Images, false).map_err(at(name))?;
    let claimed = header.claimed();
    if claimed != length {
        return Err(at(name)(IdxProblem::Length { claimed, found: length }));
    }
    let (count, shape) = header.pictures().map_err(at(name))?;
    Ok(PlainImages { count, shape, bytes: header.bytes as u64 })
}

/// Like [`read_images`], but from any reader whose `length` in bytes is known; `name`
/// is used in errors.
///
/// # Errors
/// Like [`read_images`].
pub fn images_from(input: impl Read, length: u64, name: &Path) -> Result<Images, DataError> {
    let Content { header, values, digests } = content(input, length, Kind::Images, name)?;
    let (count, shape) = header.pictures().map_err(at(name))?;
    Ok(Images { count, shape, pixels: values, digests })
}

/// Like [`read_labels`], but from any reader whose `length` in bytes is known; `name`
/// is used in errors.
///
/// # Errors
/// Like [`read_labels`].
pub fn labels_from(input: impl Read, length: u64, name: &Path) -> Result<Labels, DataError> {
    let Content { values, digests, .. } = content(input, length, Kind::Labels, name)?;
    Ok(Labels { values, digests })
}

/// Returns whether a file that begins with `start` may be an IDX file or a gzip of one.
#[cfg(feature = "images")]
pub(super) fn looks_like_idx(start: &[u8]) -> bool {
    start.starts_with(&GZIP) || start.starts_with(&[0, 0])
}

struct Content {
    header: Header,
    values: Vec<u8>,
    digests: Digests,
}

fn at(name: &Path) -> impl Fn(IdxProblem) -> DataError {
    |problem| DataError::Idx { path: name.to_owned(), problem }
}

fn content(input: impl Read, length: u64, kind: Kind, name: &Path) -> Result<Content, DataError> {
    let mut input = BufReader::with_capacity(64 << 10, Hashing::new(input));
    let mut start = Vec::with_capacity(GZIP.len());
    (&mut input)
        .take(GZIP.len() as u64)
        .read_to_end(&mut start)
        .map_err(|source| DataError::read(name, source))?;
    let gzip = start == GZIP;
    let whole = start.as_slice().chain(&mut input);
    let (header, values, contents) = if gzip {
        payload(Members::new(whole), length, true, kind, name)
    } else {
        payload(whole, length, false, kind, name)
    }?;
    let file = input.into_inner().finish();
    Ok(Content { header, values, digests: Digests { file, contents } })
}

/// Reads header, values and the end of `input`, the decompressed contents of a file of `length`
/// bytes.
fn payload(
    input: impl Read,
    length: u64,
    gzip: bool,
    kind: Kind,
    name: &Path,
) -> Result<(Header, Vec<u8>, Sha256Hex), DataError> {
    let broken = |source: io::Error| match (gzip, source.kind()) {
        (true, io::ErrorKind::UnexpectedEof) => at(name)(IdxProblem::GzipCut { length }),
        (true, _) if gzip::is_garbage(&source) => at(name)(IdxProblem::GzipGarbage),
        (true, io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            at(name)(IdxProblem::GzipDamaged(source.to_string()))
        }
        _ => DataError::read(name, source),
    };
    let mut input = Hashing::new(input);
    let mut prefix = Vec::with_capacity(PREFIX);
    (&mut input).take(PREFIX as u64).read_to_end(&mut prefix).map_err(broken)?;
    let header = Header::parse(&prefix, kind, gzip).map_err(at(name))?;
    let claimed = header.claimed(); // of the whole contents
    let most = if gzip { length.saturating_mul(MAX_RATIO) } else { length };
    if gzip && claimed > most.saturating_add(PREFIX as u64) {
        return Err(at(name)(IdxProblem::Bomb { claimed, length }));
    }
    if !gzip && claimed != length {
        return Err(at(name)(IdxProblem::Length { claimed, found: length }));
    }
    let out_of_memory = || at(name)(IdxProblem::Memory { bytes: header.values });
    let total = usize::try_from(header.values).map_err(|_| out_of_memory())?;

    let mut values = Vec::new();
    let trusted = if gzip { length.saturating_mul(TRUSTED_RATIO) } else { length };
    let first = total.min(usize::try_from(trusted).unwrap_or(usize::MAX));
    values.try_reserve_exact(first).map_err(|_| out_of_memory())?;
    // Values, and after them bytes that should not be there.
    let mut surplus = 0;
    let rest = &prefix[header.bytes..];
    values.extend_from_slice(&rest[..rest.len().min(total)]);
    surplus += rest.len().saturating_sub(total);
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error)),
        };
        let fits = read.min(total - values.len());
        if values.capacity() - values.len() < fits {
            let more = values.len().clamp(fits, total - values.len());
            values.try_reserve_exact(more).map_err(|_| out_of_memory())?;
        }
        values.extend_from_slice(&chunk[..fits]);
        surplus += read - fits;
        if surplus > 0 {
            break;
        }
    }
    let claimed = header.claimed();
    if surplus > 0 {
        return Err(at(name)(IdxProblem::Surplus { claimed }));
    }
    if values.len() < total {
        let found = header.bytes as u64 + values.len() as u64;
        return Err(at(name)(IdxProblem::Length { claimed, found }));
    }
    Ok((header, values, input.finish()))
}
