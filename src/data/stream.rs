//! Data sets larger than memory: read from files during training, within a fixed amount of
//! memory.
//!
//! A folder holds the usual four files, uncompressed, or shards, of images in gray or in color:
//!
//! ```text
//! train-00000-of-00020-images.idx   train-00000-of-00020-labels.idx
//! train-00001-of-00020-images.idx   train-00001-of-00020-labels.idx
//! ...
//! test-00000-of-00001-images.idx    test-00000-of-00001-labels.idx
//! classes.txt                       dataset.toml                        (optional)
//! ```
//!
//! Opening reads headers and labels; the labels are held in memory: one byte per sample. How close the order is
//! to a full shuffle, and its cost, are measured in `docs/streaming.md`.

mod block_shuffle;
mod epoch_reader;
mod find_shards;
pub(super) mod memory_limit;
pub(super) mod problem;
pub(super) mod shard_names;
pub(super) mod shards;

use std::path::{self, Path, PathBuf};

pub use memory_limit::StreamMemory;
pub use problem::StreamProblem;

pub(crate) use epoch_reader::{BlockReader, Epoch, SampleBlock};
pub(super) use shard_names::Part;

use super::catalog::DatasetName;
use super::cifar_files::Layout;
use super::dataset::Dataset;
use super::error::{DataError, FolderProblem};
use super::idx::Digests;
use super::label_numbering::{self, Labels, Numbering, PartLabels};
use super::sha256::Sha256Hex;
use super::source::{Loaded, LoadedTest, PathRequest, Request, Source, SourceFile};
use super::sources::{
    self,
    idx::{file_name, own_name},
};
use super::{Locations, Preparation, class_names, idx, idx_folder, image_preparation};
use crate::message_text::quoted;
use shards::Opened;

/// Returns the training and the test part in a folder of plain IDX files or shards, whose images are read when
/// they are needed: training holds at most `memory` of them at a time, plus the batches that are
/// made ahead.
///
/// # Errors
/// A file that is missing or is not a plain IDX file, images and labels or shards that do not match,
/// labels without a name.
pub fn stream_dir(
    dir: impl AsRef<Path>,
    memory: StreamMemory,
) -> Result<(Dataset, Dataset), DataError> {
    let Loaded { train, test, .. } = from_dir(dir.as_ref(), None, memory)?;
    Ok((train, test))
}

/// Like [`resolve`](super::resolve()), with a data set that is read during training; nothing is downloaded.
///
/// # Errors
/// Like [`stream_dir`]; a known data set whose files are not here, or that is built in.
pub fn stream(
    request: &Request,
    locations: &Locations,
    memory: StreamMemory,
) -> Result<Loaded, DataError> {
    let name = match request {
        Request::Dir(dir) => return from_path(&PathRequest::new(dir), memory),
        Request::Path(request) => return from_path(request, memory),
        Request::Named(name) => *name,
        Request::Auto => DatasetName::Mnist,
    };
    if Layout::of(name).is_some() {
        let (path, data) = (PathBuf::from(name.as_str()), format!("--dataset {name}"));
        let problem = StreamProblem::Other { found: "the files of CIFAR", data };
        return Err(DataError::Stream { path, problem });
    }
    // Those of EMNIST are in an archive: their shards can be streamed.
    let problem = match [locations.own(name), locations.cached(name).filter(|dir| dir.is_dir())] {
        _ if name.entry().files.is_empty() => StreamProblem::BuiltIn { name },
        _ if name.is_emnist() => StreamProblem::NotHere { name },
        [Some(dir), _] | [None, Some(dir)] => return from_dir(&dir, Some(name), memory),
        [None, None] => StreamProblem::NotHere { name },
    };
    Err(DataError::Stream { path: PathBuf::from(name.as_str()), problem })
}

/// Like [`resolve_test`](super::resolve_test()), with test images that are read when they are needed.
///
/// # Errors
/// Like [`stream`](fn@stream).
pub fn stream_test(
    request: &Request,
    locations: &Locations,
    memory: StreamMemory,
) -> Result<LoadedTest, DataError> {
    let request = match request {
        Request::Dir(dir) => &PathRequest::new(dir),
        Request::Path(request) => request,
        _ => return stream(request, locations, memory).map(LoadedTest::from),
    };
    let named = streamable(request)?;
    let dir = find_shards::holder(named, &[Part::Test])?;
    let given = class_names::read(&dir)?;
    let test = shards::open(&Part::Test.find(&dir)?)?;
    let mut labels = PartLabels { train: Labels::of(&[]), test: Labels::of(&test.labels) };
    for pair in Part::Train.find(&dir).unwrap_or_default() {
        labels.train = labels.train.with(&Labels::of(&idx::read_labels(&pair.labels)?.values));
    }
    let known = idx_folder::recognize_test(&digests(&test.files));
    let mut numbering = label_numbering::number(&labels, given, known);
    idx_folder::pad(&mut numbering.names);
    let source = source(named, &dir, known, test.files.clone());
    let notes = idx_folder::moved(named, &dir).into_iter().chain(numbering.notes.clone()).collect();
    let preparation = idx_folder::preparation_of(image_preparation::read(&dir)?, known);
    let test = dataset(test, memory, &numbering, preparation)?;
    Ok(LoadedTest { test, source, notes })
}

/// Returns the folder that was asked for, if it can be streamed.
fn streamable(request: &PathRequest) -> Result<&Path, DataError> {
    sources::idx_folder(request)?.ok_or_else(|| {
        let data = format!("--data {}", quoted(&request.path));
        let found = sources::description(&request.path);
        let problem = StreamProblem::Other { found, data };
        DataError::Stream { path: request.path.clone(), problem }
    })
}

fn from_path(request: &PathRequest, memory: StreamMemory) -> Result<Loaded, DataError> {
    from_dir(streamable(request)?, None, memory)
}

fn from_dir(
    named: &Path,
    expected: Option<DatasetName>,
    memory: StreamMemory,
) -> Result<Loaded, DataError> {
    let dir = &find_shards::holder(named, &[Part::Train, Part::Test])?;
    let [train, test] = [Part::Train.find(dir)?, Part::Test.find(dir)?];
    let given = class_names::read(dir)?;
    let described = image_preparation::read(dir)?;
    let (train, test) = (shards::open(&train)?, shards::open(&test)?);
    if train.shape != test.shape {
        let (train, test) = (train.shape, test.shape);
        return Err(DataError::folder(dir, FolderProblem::Shapes { train, test }));
    }
    let files = [&train.files[..], &test.files].concat();
    let known = idx_folder::recognize(&digests(&files));
    let labels = PartLabels { train: Labels::of(&train.labels), test: Labels::of(&test.labels) };
    let numbering = label_numbering::number(&labels, given, known.or(expected));
    if let [only] = &numbering.names[..] {
        let problem = FolderProblem::OneClass(only.clone());
        return Err(DataError::folder(&train.labels_files[0].0, problem));
    }
    let source = source(named, dir, known, files);
    let notes = idx_folder::moved(named, dir).into_iter().chain(numbering.notes.clone()).collect();
    let preparation = idx_folder::preparation_of(described, known.or(expected));
    let of = |part| dataset(part, memory, &numbering, preparation);
    let (train, test) = (of(train)?, of(test)?);
    Ok(Loaded { train, test, source, notes })
}

/// Returns the digests of plain files: those of the usual four may be known.
fn digests(files: &[(PathBuf, Sha256Hex)]) -> Vec<(PathBuf, Digests)> {
    let both = |digest: &Sha256Hex| Digests { file: digest.clone(), contents: digest.clone() };
    files.iter().map(|(path, digest)| (path.clone(), both(digest))).collect()
}

fn source(
    named: &Path,
    dir: &Path,
    known: Option<DatasetName>,
    files: Vec<(PathBuf, Sha256Hex)>,
) -> Source {
    let file = |(path, sha256): (PathBuf, _)| SourceFile { name: file_name(&path), sha256 };
    Source {
        name: known.map_or_else(|| own_name(named), |known| known.to_string()),
        dir: Some(path::absolute(dir).unwrap_or_else(|_| dir.to_owned())),
        notice: None,
        classes: None,
        arrays: None,
        pictures: None,
        files: files.into_iter().map(file).collect(),
    }
}

fn dataset(
    mut opened: Opened,
    memory: StreamMemory,
    numbering: &Numbering,
    preparation: Preparation,
) -> Result<Dataset, DataError> {
    for (number, (path, first)) in opened.labels_files.iter().enumerate() {
        let end = opened.labels_files.get(number + 1).map_or(opened.labels.len(), |next| next.1);
        idx_folder::check_labels(&opened.labels[*first..end], numbering, path)?;
    }
    opened.labels.iter_mut().for_each(|label| *label -= numbering.first);
    let Opened { shards, shape, labels, .. } = opened;
    let dataset = Dataset::of_files(shards, memory, shape, labels, numbering.names.clone())?;
    Ok(dataset.with_preparation(preparation))
}

#[cfg(test)]
mod tests;
