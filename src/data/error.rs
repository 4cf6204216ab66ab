//! Errors between a data set's name and its pixels.
//!
//! Each message gives the rule, the value found, the cure, and the file. The details of the IDX
//! format, of downloads and of single images are next to the code that finds them.

use std::io;
use std::path::{Path, PathBuf};

use super::arrays::ArraysProblem;
use super::class_problem::ClassProblem;
use super::dataset_name::{DatasetName, names};
use super::download::Attempt;
use super::idx::IdxProblem;
use super::images::ImageProblem;
use super::pack::PackProblem;
use super::stream::StreamProblem;
use super::targets::TargetKind;
use crate::message_text::quoted;

/// An error of the data module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder that cannot be read.
    #[error("{path} cannot be read: {source}{cure}", path = .path.display(), cure = read_cure(.source))]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder, a pipe or a device where a file is expected.
    #[error(
        "{path} must be an ordinary file, found a folder, a pipe or a device: give the file",
        path = .path.display()
    )]
    NotAFile {
        /// The path given.
        path: PathBuf,
    },
    /// A file or folder that cannot be written.
    #[error(
        "{path} cannot be written: {source}: make room there or allow writing, or set SEQFIT_CACHE \
         to another folder",
        path = .path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that is not the IDX file it should be.
    #[error("{path}: {problem}", path = .path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: IdxProblem,
    },
    /// Pixels and labels that do not form a data set.
    #[error(transparent)]
    Dataset(#[from] DatasetProblem),
    /// Classes of a data set that are not those of a network.
    #[error(transparent)]
    Classes(#[from] ClassProblem),
    /// A folder whose files do not match.
    #[error("{path}: {problem}", path = .path.display())]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// The problem.
        problem: FolderProblem,
    },
    /// A name that no known data set has.
    #[error(
        "the known data sets are {known}, found {found:?}: {cure}",
        known = names(),
        cure = match .similar {
            Some(similar) => format!("did you mean {similar}?"),
            None => "take one of these".to_owned(),
        }
    )]
    UnknownName {
        /// The name.
        found: String,
        /// The known name that was probably meant.
        similar: Option<&'static str>,
    },
    /// A file that no mirror served.
    #[error(
        "{file} could not be downloaded ({list}): check the network and the proxy settings, name \
         another mirror in SEQFIT_MIRROR, or put the file into {folder}{missed}",
        list = listed(.attempts),
        folder = .folder.display(),
        missed = told_missed(.missed)
    )]
    Download {
        /// The file's name.
        file: String,
        /// The folder it would have been downloaded to.
        folder: PathBuf,
        /// The response of each mirror, in the order they were tried.
        attempts: Vec<Attempt>,
        /// The folder in `SEQFIT_DATA` that would have made the download unnecessary if it existed.
        missed: Option<PathBuf>,
    },
    /// The folder that a run was trained on no longer exists.
    #[error(
        "a run is evaluated on the data it was trained on, and its data folder {dir} is gone: name \
         its new place with --data-dir{fetch}",
        dir = .dir.display(),
        fetch = .known.map(|name| format!(", or fetch the data again with --dataset {name}"))
            .unwrap_or_default()
    )]
    Gone {
        /// The recorded folder.
        dir: PathBuf,
        /// The known data set that was in it.
        known: Option<DatasetName>,
    },
    /// The file of arrays that a run was trained on no longer exists.
    #[error(
        "a run is evaluated on the data it was trained on, and its file {} is gone: name its new place with --data",
        .0.display()
    )]
    FileGone(PathBuf),
    /// The files are not those that a run was trained on.
    #[error(
        "{file} is not the file that was there at training: its contents had SHA-256 {expected}, \
         now {found}: restore it, or name the data explicitly to use others"
    )]
    Changed {
        /// The file's name.
        file: String,
        /// The recorded digest.
        expected: String,
        /// The digest now.
        found: String,
    },
    /// An environment variable with an invalid value.
    #[error("{variable} must be {rule}, found {found:?}: correct it or unset it")]
    Environment {
        /// The variable.
        variable: &'static str,
        /// The valid values.
        rule: &'static str,
        /// The actual value.
        found: String,
    },
    /// There is no folder for downloads.
    #[error(
        "downloads need a cache folder, and neither SEQFIT_CACHE nor XDG_CACHE_HOME nor a home \
         folder is set: set SEQFIT_CACHE to a folder that you may write to{missed}",
        missed = told_missed(.missed)
    )]
    NoCache {
        /// The folder in `SEQFIT_DATA` that would have made the download unnecessary if it existed.
        missed: Option<PathBuf>,
    },
    /// A folder of pictures that does not form a data set.
    #[error("{path}: {problem}", path = .path.display())]
    Pack {
        /// The folder.
        path: PathBuf,
        /// The problem.
        problem: PackProblem,
    },
    /// A file or folder that cannot be streamed, or no longer can.
    #[error("{path}: {problem}", path = .path.display())]
    Stream {
        /// The file or folder.
        path: PathBuf,
        /// The problem.
        problem: StreamProblem,
    },
    /// A file of arrays that does not hold a data set.
    #[error("{path}: {problem}", path = .path.display())]
    Arrays {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: ArraysProblem,
    },
    /// Arrays of a file that do not form a data set.
    #[error("{path}: {arrays}: {problem}", path = .path.display())]
    InArrays {
        /// The file.
        path: PathBuf,
        /// The names of the arrays, in words.
        arrays: String,
        /// The problem.
        problem: DatasetProblem,
    },
    /// A picture that cannot be used.
    #[error("{path}: {problem}", path = .path.display())]
    Image {
        /// The picture.
        path: PathBuf,
        /// The problem.
        problem: ImageProblem,
    },
}

/// Pixels and labels that do not form a data set, or an invalid part of one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetProblem {
    /// No samples, or samples without pixels.
    #[error(
        "a data set needs at least one image of at least one pixel, found {samples} of \
         {height}x{width}"
    )]
    Empty {
        /// Number of labels.
        samples: usize,
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
    },
    /// Other than one weight for each sample.
    #[error(
        "{samples} samples need {samples} weights, found {found}{}",
        if *.streamed { " for data that is streamed: load it into memory" } else { "" }
    )]
    Weights {
        /// Number of samples.
        samples: usize,
        /// Number of weights.
        found: usize,
        /// Whether the samples are in files, which have no weights.
        streamed: bool,
    },
    /// A weight of a sample that is no weight.
    #[error("weights must be finite and at least 0, found {found} at sample {sample}")]
    Weight {
        /// The sample.
        sample: usize,
        /// Its weight.
        found: f32,
    },
    /// Pixels that are not one image for each label.
    #[error(
        "{samples} labels need {samples} images of {height}x{width} pixels, found {pixels} pixels: \
         give one image for each label"
    )]
    Pixels {
        /// Number of labels.
        samples: usize,
        /// Rows of an image.
        height: usize,
        /// Columns of an image.
        width: usize,
        /// Number of pixels given.
        pixels: usize,
    },
    /// No samples, or samples without values.
    #[error(
        "a data set needs at least one sample of at least one value, found {samples} targets and samples of \
         shape {shape:?}"
    )]
    NoValues {
        /// Number of targets.
        samples: usize,
        /// The shape of a sample.
        shape: Vec<usize>,
    },
    /// Features that are not one sample for each target.
    #[error(
        "{samples} targets need {samples} samples of shape {shape:?}, found {values} values: give one sample \
         for each target"
    )]
    Features {
        /// Number of targets.
        samples: usize,
        /// The shape of a sample.
        shape: Vec<usize>,
        /// Number of values given.
        values: usize,
    },
    /// Targets that do not fill whole rows.
    #[error(
        "targets that are {kind} need a name for each column and as many values for each sample, found {names} \
         names and {values} values: give whole rows"
    )]
    Targets {
        /// The kind.
        kind: TargetKind,
        /// The number of names.
        names: usize,
        /// The number of values.
        values: usize,
    },
    /// A number that is NaN or infinite.
    #[error(
        "{what} must be finite numbers, found {found} at sample {sample}, column {column}: correct it, or leave \
         the sample out",
        column = place_in_words(.place)
    )]
    NotFinite {
        /// "features" or "targets".
        what: &'static str,
        /// The sample's index, from 0.
        sample: usize,
        /// The index along each axis of the sample, from 0.
        place: Vec<usize>,
        /// The number.
        found: f32,
    },
    /// A label that is neither 0 nor 1.
    #[error("labels are 0 or 1, found {found} at sample {sample}, column {column}: correct it")]
    LabelValue {
        /// The sample's index, from 0.
        sample: usize,
        /// The label's index, from 0.
        column: usize,
        /// The value.
        found: u8,
    },
    /// Samples that are not gray pictures, where these are needed.
    #[error("{user} needs gray pictures of [height, width], found {found}")]
    NoPictures {
        /// What needs them.
        user: &'static str,
        /// The samples, in words.
        found: String,
    },
    /// Targets that are not classes, where these are needed.
    #[error("{user} needs targets that are classes, found {found}")]
    NoClasses {
        /// What needs them.
        user: &'static str,
        /// The kind of the targets.
        found: TargetKind,
    },
    /// Too few or too many classes.
    #[error("a data set has 2 to 256 classes, found {0}")]
    Classes(usize),
    /// Names of classes that cannot be distinguished or printed.
    #[error(
        "classes have 2 to 256 different names, each of 1 to 100 characters and none of them a \
         control character, found {0}: correct the names"
    )]
    ClassNames(String),
    /// Names of labels or numbers that cannot be distinguished or printed.
    #[error(
        "labels and numbers have different names, each of 1 to 100 characters and none of them a control \
         character, found {0}: correct the names"
    )]
    TargetNames(String),
    /// A `dataset.toml` that contains anything but how pictures were prepared.
    #[error(
        "dataset.toml holds one line, preparation = \"raw\", \"digit\" or \"resize\", found {0}: \
         correct it, or delete the file if it belongs to something else"
    )]
    Description(String),
    /// A label without a class.
    #[error(
        "labels run from 0 to {last}, one for each of {classes} classes, found {label} at sample \
         {sample}: correct the labels, or name all classes",
        last = .classes - 1
    )]
    Label {
        /// The sample's index, from 0.
        sample: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A sample index that is out of range.
    #[error("samples are numbered from 0 to {}, found {index}", .samples.saturating_sub(1))]
    Index {
        /// The index.
        index: u32,
        /// The number of samples.
        samples: usize,
    },
    /// More samples than a selection can index.
    #[error("a data set holds at most 2^32 - 1 samples, found {0}")]
    TooMany(usize),
    /// More than fits into the machine's memory at once.
    #[error(
        "{bytes} bytes of images do not fit into memory: use smaller batches, or less for --stream"
    )]
    Memory {
        /// The number of bytes requested.
        bytes: usize,
    },
    /// A validation fraction that is out of range.
    #[error("the validation fraction must be at least 0 and below 1, found {0}")]
    ValidationFraction(f64),
    /// A split that would leave one side without samples.
    #[error(
        "a validation fraction of {share} leaves {train} samples to train on and {validation} to \
         validate on, of {samples}: both need at least one, so change the fraction or take more data"
    )]
    Split {
        /// The fraction.
        share: f64,
        /// Samples of the training part.
        train: usize,
        /// Samples of the validation part.
        validation: usize,
        /// Samples in total.
        samples: usize,
    },
}

/// A folder whose files do not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FolderProblem {
    /// One of the four files is missing.
    #[error("a data set needs {wanted} (or with .gz, or test- for t10k-), and the folder {holds}")]
    Missing {
        /// The file's usual name.
        wanted: String,
        /// The contents of the folder.
        holds: String,
    },
    /// Shards, which are not loaded into memory.
    #[error(
        "the folder holds shards, which are read while they are trained on: give it to seqfit train, lr-find or \
         evaluate with --stream"
    )]
    Shards,
    /// Pictures that are not a data set yet.
    #[error(
        "a data set is made of IDX files, and this folder holds folders of pictures: make a data set of them \
         with seqfit data pack {} --out DIR, and use DIR",
        quoted(.0)
    )]
    Pictures(PathBuf),
    /// Pictures without folders that say which class they belong to.
    #[error(
        "a data set is made of IDX files, and this folder holds pictures: put them into one folder per class, and \
         make a data set of that with seqfit data pack"
    )]
    LoosePictures,
    /// Numbers of images and labels differ.
    #[error(
        "each image needs a label, found {images} images and {labels} labels in {labels_file}: \
         take both from the same source"
    )]
    Counts {
        /// Number of images.
        images: usize,
        /// Number of labels.
        labels: usize,
        /// The labels file.
        labels_file: String,
    },
    /// Training and test images differ in size.
    #[error(
        "training and test images must have the same size, found {train:?} and {test:?} (height, \
         width): take both from the same source"
    )]
    Shapes {
        /// Height and width of the training images.
        train: [usize; 2],
        /// Height and width of the test images.
        test: [usize; 2],
    },
    /// A label without a name.
    #[error(
        "labels run from 0 to {last}, found {label} at sample {sample}: correct the labels, or \
         name all classes in classes.txt, which names {classes}",
        last = .classes - 1
    )]
    Label {
        /// The sample's index, from 0.
        sample: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// Labels that are all the same, and no names of other classes.
    #[error(
        "labels of at least 2 classes are needed, found only {0}: add samples of another class, or \
         name all classes in classes.txt"
    )]
    OneClass(String),
    /// An invalid list of class names.
    #[error(
        "classes.txt holds 2 to 256 different names in UTF-8, one per line, each of 1 to 100 \
         characters, found {0}"
    )]
    Names(String),
    /// A `dataset.toml` that contains anything but how pictures were prepared.
    #[error(
        "dataset.toml holds one line, preparation = \"raw\", \"digit\" or \"resize\", found {0}: \
         correct it, or delete the file if it belongs to something else"
    )]
    Description(String),
    /// The place for a new data set is taken.
    #[error("a data set is written into a new or empty folder, and this one {0}: choose another")]
    Occupied(&'static str),
    /// A file of a known data set with other contents.
    #[error(
        "{dataset}'s file has another SHA-256 than this one ({found}): delete it and fetch it \
         again, or load the folder as your own data"
    )]
    NotKnown {
        /// The known data set.
        dataset: DatasetName,
        /// The digest of the file.
        found: String,
    },
}

impl DataError {
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        DataError::Read { path: path.to_owned(), source }
    }

    pub(super) fn write(path: &Path, source: io::Error) -> Self {
        DataError::Write { path: path.to_owned(), source }
    }

    /// Adds the folder of `SEQFIT_DATA` that would have made a download unnecessary.
    pub(super) fn with_missed(mut self, folder: Option<PathBuf>) -> Self {
        if let DataError::Download { missed, .. } | DataError::NoCache { missed } = &mut self {
            *missed = folder;
        }
        self
    }

    pub(super) fn folder(path: &Path, problem: FolderProblem) -> Self {
        DataError::Folder { path: path.to_owned(), problem }
    }

    #[cfg(feature = "images")]
    pub(super) fn pack(path: &Path, problem: PackProblem) -> Self {
        DataError::Pack { path: path.to_owned(), problem }
    }

    /// Returns the file or folder that the message begins with, and the message without it.
    pub(super) fn located(&self) -> (Option<&Path>, String) {
        let text = self.to_string();
        let path = match self {
            DataError::Read { path, .. }
            | DataError::NotAFile { path }
            | DataError::Write { path, .. }
            | DataError::Idx { path, .. }
            | DataError::Folder { path, .. }
            | DataError::Pack { path, .. }
            | DataError::Stream { path, .. }
            | DataError::Arrays { path, .. }
            | DataError::InArrays { path, .. }
            | DataError::Image { path, .. } => path,
            _ => return (None, text),
        };
        let rest = text.strip_prefix(&path.display().to_string()).unwrap_or(&text);
        (Some(path), rest.trim_start_matches([':', ' ']).to_owned())
    }
}

fn read_cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => ": check the path",
        io::ErrorKind::PermissionDenied => ": allow reading it",
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            ": give a file where a file is expected, and a folder where a folder is"
        }
        _ => "",
    }
}

/// Returns a position in a sample: "3", or "[0, 5, 2]".
fn place_in_words(place: &[usize]) -> String {
    match place {
        [column] => column.to_string(),
        axes => format!("{axes:?}"),
    }
}

/// Lists the response of each mirror, on one line.
pub(super) fn listed(attempts: &[Attempt]) -> String {
    if attempts.is_empty() {
        return "no mirror is known".to_owned();
    }
    let described = |Attempt { url, problem }: &Attempt| format!("{url}: {problem}");
    let all = attempts.iter().map(described).collect::<Vec<_>>().join("; ");
    // A problem may contain another library's message.
    all.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns an addition to a message: the folder in `SEQFIT_DATA` that does not exist.
pub(super) fn told_missed(missed: &Option<PathBuf>) -> String {
    missing_in_data_folder(missed).map_or(String::new(), |text| format!("; {text}"))
}

/// Returns a sentence about the folder that `SEQFIT_DATA` lacks.
pub(super) fn missing_in_data_folder(missed: &Option<PathBuf>) -> Option<String> {
    let missed = missed.as_deref()?;
    let (data, name) = (missed.parent()?, missed.file_name()?);
    Some(format!("SEQFIT_DATA={} holds no folder {}", data.display(), name.display()))
}
