//! The first bytes of an IDX file, and other kinds of file that may be given in its place.

use super::problem::IdxProblem;
use crate::data::picture_shape::PictureShape;
use crate::message_text::TextFile;

/// How much of the contents is inspected: enough to recognize a tar archive.
pub(super) const PREFIX: usize = 512;

/// The type code of u8; the others are i8 9, i16 11, i32 12, f32 13, f64 14.
const U8: u8 = 8;

/// The expected contents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Images,
    Labels,
}

impl Kind {
    /// Returns the usual number of dimensions.
    fn rank(self) -> u8 {
        match self {
            Kind::Images => 3,
            Kind::Labels => 1,
        }
    }
}

#[derive(Debug)]
pub(super) struct Header {
    pub sizes: Vec<usize>,
    /// Length of the header.
    pub bytes: usize,
    /// Number of values, which is their length in bytes.
    pub values: u64,
}

impl Header {
    /// Reads the header from the first bytes of the (decompressed) contents, up to [`PREFIX`].
    pub fn parse(prefix: &[u8], kind: Kind, gzip: bool) -> Result<Self, IdxProblem> {
        let Some((magic, rest)) = prefix.split_first_chunk::<4>() else {
            return Err(match recognize(prefix) {
                _ if prefix.is_empty() => IdxProblem::Empty { gzip },
                Some(what) => IdxProblem::Other(what),
                None => IdxProblem::Header { found: prefix.len(), wanted: 4 },
            });
        };
        let rank = match *magic {
            [0, 0, U8, rank] => rank,
            [1 | 3, U8, 0, 0] => return Err(IdxProblem::Swapped),
            [0, 0, code @ (9 | 11..=14), _] => return Err(IdxProblem::Type(code)),
            magic => {
                return Err(match recognize(prefix) {
                    Some(what) => IdxProblem::Other(what),
                    None => IdxProblem::Magic { found: magic, wanted: [0, 0, U8, kind.rank()] },
                });
            }
        };
        match (kind, rank) {
            (Kind::Images, 3 | 4) | (Kind::Labels, 1) => {}
            (Kind::Images, 1) => return Err(IdxProblem::LabelsForImages),
            (Kind::Labels, 3 | 4) => return Err(IdxProblem::ImagesForLabels),
            _ => {
                return Err(IdxProblem::Rank { found: rank, wanted: kind.rank() });
            }
        }
        let sizes: Vec<u32> = rest
            .chunks_exact(4)
            .take(usize::from(rank))
            .map(|bytes| bytes.iter().fold(0, |size, &byte| size << 8 | u32::from(byte)))
            .collect();
        let bytes = 4 + 4 * usize::from(rank);
        if sizes.len() < usize::from(rank) {
            return Err(IdxProblem::Header { found: prefix.len(), wanted: bytes });
        }
        if sizes.contains(&0) {
            return Err(IdxProblem::Zero(sizes));
        }
        if let [_, channels, _, _] = sizes[..]
            && !matches!(channels, 1 | 3)
        {
            return Err(IdxProblem::Channels(channels));
        }
        let values = sizes.iter().try_fold(1u64, |all, &size| all.checked_mul(u64::from(size)));
        // The total length must fit into a number, too.
        let values = values.filter(|values| values.checked_add(bytes as u64).is_some());
        let (Some(values), Ok(sizes)) =
            (values, sizes.iter().map(|&size| usize::try_from(size)).collect())
        else {
            return Err(IdxProblem::Overflow(sizes));
        };
        Ok(Self { sizes, bytes, values })
    }

    /// Returns the number of images, and the shape of each.
    ///
    /// # Errors
    /// The header of other values.
    pub fn pictures(&self) -> Result<(usize, PictureShape), IdxProblem> {
        let other = || IdxProblem::Rank { found: self.sizes.len() as u8, wanted: 3 };
        let (count, shape) = self.sizes.split_first().ok_or_else(other)?;
        Ok((*count, PictureShape::of(shape).ok_or_else(other)?))
    }

    /// Returns the length of the whole contents, in bytes, if the header is correct.
    pub fn claimed(&self) -> u64 {
        self.bytes as u64 + self.values
    }
}

/// Recognizes other kinds of file that users give in place of IDX files.
fn recognize(prefix: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 10] = [
        (b"PK", "a zip archive (.zip, .npz): unpack it, and convert the arrays to IDX"),
        (b"\x93NUMPY", "a NumPy array (.npy): convert it to IDX"),
        (b"\x1f\x8b", "a gzip within a gzip: decompress it once"),
        (b"BZh", "a bzip2 archive: decompress it"),
        (b"\xfd7zXZ", "an xz archive: decompress it"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive: decompress it"),
        (b"7z\xbc\xaf", "a 7z archive: unpack it"),
        (b"\x89PNG", "a PNG image: seqfit predict takes it; a data set is made of IDX files"),
        (b"\xff\xd8\xff", "a JPEG image: seqfit predict takes it; a data set is made of IDX files"),
        (b"\x89HDF", "an HDF5 file: convert its arrays to IDX"),
    ];
    if let Some((_, what)) = known.iter().find(|(start, _)| prefix.starts_with(start)) {
        return Some(what);
    }
    if prefix.get(257..262) == Some(b"ustar") {
        return Some("a tar archive: unpack it");
    }
    TextFile::of(prefix).map(|text| match text {
        TextFile::Markup => {
            "a web page (HTML or XML), as a failed download leaves it: download the file again"
        }
        TextFile::LfsPointer => {
            "a Git LFS pointer, not the file itself: fetch it with git lfs pull"
        }
        TextFile::Other => "a text file: IDX files are binary",
    })
}
