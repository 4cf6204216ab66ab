//! Images in files, which are read piece by piece: only the name of each file is held.
//!
//! Files are read, not mapped into memory. Where a mapped file is truncated, or its disk is
//! removed, the process is killed by a signal; a read returns an error that names the file. And the system
//! decides how much of a mapped file stays in memory, whereas a buffer has a fixed size.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::find_shards::Pair;
use super::problem::StreamProblem;
use crate::data::check_label_count::check_counts;
use crate::data::error::DataError;
use crate::data::idx::{self, IdxProblem};
use crate::data::open_file::ordinary;
use crate::data::picture_shape::PictureShape;
use crate::data::sample_files::SampleFiles;
use crate::data::sha256::{self, Sha256Hex};

/// Files of more than this in total are identified by samples of their bytes: they are not read to the end
/// before each training run.
const READ_WHOLE: u64 = 256 << 20;
/// The number of pieces of a file that are sampled, including the first and the last.
const SAMPLED_PIECES: u64 = 16;
const PIECE: u64 = 16 << 10;

/// The images of a part of a data set, one shard after the other.
#[derive(Debug)]
pub(in crate::data) struct Shards {
    shards: Vec<Shard>,
    /// Bytes of an image.
    image: usize,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    stamp: Stamp,
    /// Length of the header.
    header: u64,
    /// The number of the first sample, among those of all shards.
    first: usize,
    count: usize,
}

/// The attributes that change when a file is written to.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    /// None if the file system does not provide it.
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok() }
    }
}

/// The contents of a part's files.
pub(super) struct Opened {
    pub shards: Shards,
    pub shape: PictureShape,
    pub labels: Vec<u8>,
    /// The labels files, each with the number of samples before it.
    pub labels_files: Vec<(PathBuf, usize)>,
    /// Each file with the digest that identifies it.
    pub files: Vec<(PathBuf, Sha256Hex)>,
}

/// Reads headers and labels.
pub(super) fn open(pairs: &[Pair]) -> Result<Opened, DataError> {
    let mut shape = None;
    let (mut shards, mut labels) = (Vec::new(), Vec::new());
    let (mut labels_files, mut files) = (Vec::new(), Vec::new());
    let lengths = pairs.iter().map(|pair| Ok(ordinary(&pair.images)?.1));
    let total = lengths.sum::<Result<u64, DataError>>()?;
    for Pair { images, labels: labels_file } in pairs {
        let (mut file, _) = ordinary(images)?;
        let at = |source| DataError::read(images, source);
        let stamp = Stamp::of(&file.metadata().map_err(at)?);
        let header = idx::plain_images(&mut file, stamp.length, images)?;
        let (count, found) = (header.count, header.shape);
        let first = *shape.get_or_insert(found);
        if first != found {
            let problem = StreamProblem::Shape { first, found };
            return Err(DataError::Stream { path: images.clone(), problem });
        }
        let digest = match total <= READ_WHOLE {
            true => whole(&mut file).map_err(at)?,
            false => sampled(&mut file, stamp.length).map_err(at)?,
        };
        let found = idx::read_labels(labels_file)?;
        check_counts(count, found.values.len(), images, labels_file)?;
        labels_files.push((labels_file.clone(), labels.len()));
        let (path, first) = (images.clone(), labels.len());
        shards.push(Shard { path, stamp, header: header.bytes, first, count });
        let memory = IdxProblem::Memory { bytes: found.values.len() as u64 };
        labels
            .try_reserve(found.values.len())
            .map_err(|_| DataError::Idx { path: labels_file.clone(), problem: memory })?;
        labels.extend(found.values);
        files.push((images.clone(), digest));
        files.push((labels_file.clone(), found.digests.contents));
    }
    let shape = shape.unwrap_or([0, 0].into());
    Ok(Opened {
        shards: Shards { shards, image: shape.values() },
        shape,
        labels,
        labels_files,
        files,
    })
}

fn whole(file: &mut File) -> io::Result<Sha256Hex> {
    file.seek(SeekFrom::Start(0))?;
    sha256::sha256(file)
}

/// Returns the digest of a file's length and of pieces all over it, marked as such.
fn sampled(file: &mut File, length: u64) -> io::Result<Sha256Hex> {
    let mut bytes = length.to_le_bytes().to_vec();
    let size = PIECE.min(length);
    for piece in 0..SAMPLED_PIECES {
        // In 128 bits: the length may be any number.
        let start =
            (u128::from(length - size) * u128::from(piece) / u128::from(SAMPLED_PIECES - 1)) as u64;
        file.seek(SeekFrom::Start(start))?;
        Read::take(&mut *file, size).read_to_end(&mut bytes)?;
    }
    Ok(format!("sampled:{}", sha256::sha256(&bytes[..])?))
}

impl SampleFiles for Shards {
    fn read(&self, samples: &[usize], mut out: &mut [u8]) -> Result<(), DataError> {
        let mut reader = Reader { shards: self, open: None };
        // Adjacent samples are one read.
        for run in samples.chunk_by(|before, after| before + 1 == *after) {
            let (part, rest) = out.split_at_mut(run.len() * self.image);
            reader.read(run[0], part)?;
            out = rest;
        }
        Ok(())
    }
}

/// Reads samples of [`Shards`]; adjacent ones share the cost of opening a file.
struct Reader<'a> {
    shards: &'a Shards,
    /// The file that was read last, and its shard.
    open: Option<(usize, File)>,
}

impl Reader<'_> {
    /// Fills `out` with the images from `sample` on.
    ///
    /// # Errors
    /// A file that cannot be read, or that has changed.
    fn read(&mut self, mut sample: usize, mut out: &mut [u8]) -> Result<(), DataError> {
        let image = self.shards.image;
        while !out.is_empty() {
            let number = self.shards.shards.partition_point(|shard| shard.first <= sample) - 1;
            let shard = &self.shards.shards[number];
            let within = sample - shard.first;
            let count = (shard.count - within).min(out.len() / image);
            let (part, rest) = out.split_at_mut(count * image);
            let start = shard.header + within as u64 * image as u64;
            let file = match &mut self.open {
                Some((open, file)) if *open == number => file,
                open => &mut open.insert((number, shard.open()?)).1,
            };
            let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(part));
            read.map_err(|source| match source.kind() {
                io::ErrorKind::UnexpectedEof => shard.changed("has become shorter"),
                _ => DataError::read(&shard.path, source),
            })?;
            (sample, out) = (sample + count, rest);
        }
        Ok(())
    }
}

impl Shard {
    fn open(&self) -> Result<File, DataError> {
        let at = |source| DataError::read(&self.path, source);
        let (file, _) = ordinary(&self.path)?;
        let now = Stamp::of(&file.metadata().map_err(at)?);
        if now.length < self.stamp.length {
            return Err(self.changed("has become shorter"));
        }
        if now != self.stamp {
            return Err(self.changed("was written to"));
        }
        Ok(file)
    }

    fn changed(&self, how: &'static str) -> DataError {
        let path: &Path = &self.path;
        DataError::Stream { path: path.to_owned(), problem: StreamProblem::Changed(how) }
    }
}
