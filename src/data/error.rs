//! Errors between a data set's name and its pixels.
//!
//! Each message gives the rule, the value found, the cure, and the file. The details of the IDX
//! format, of downloads and of single images are next to the code that finds them.

use std::io;
use std::path::{Path, PathBuf};

use super::arrays::problem::ArraysProblem;
use super::cifar_problem::CifarProblem;
use super::class_problem::ClassProblem;
use super::dataset_name::{DatasetName, names};
pub use super::dataset_problem::DatasetProblem;
use super::download::problem::Attempt;
use super::emnist_problem::EmnistProblem;
pub use super::folder_problem::FolderProblem;
use super::idx::problem::IdxProblem;
use super::images::problem::ImageProblem;
use super::pack::problem::PackProblem;
use super::stream::problem::StreamProblem;

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
        "{path} must be an ordinary file, found a folder, a pipe or a device: give the file, or the files in it",
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
    /// The pictures in a folder are not those that a run was trained on.
    #[error(
        "the {part} pictures in {dir} are not those that were there at training, or there are more or fewer: restore \
         them, or name the data explicitly to use others",
        dir = .dir.display()
    )]
    PicturesChanged {
        /// "train" or "test".
        part: String,
        /// The folder.
        dir: PathBuf,
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
    /// A file that is of no kind that holds data sets.
    #[error(
        "{path}: a data set is {known}, found {found}",
        path = .path.display(),
        known = .known.join(", or "),
        found = found_instead(.path),
    )]
    UnknownKind {
        /// The file.
        path: PathBuf,
        /// The known kinds.
        known: Vec<&'static str>,
    },
    /// A file of arrays that does not hold a data set.
    #[error("{path}: {problem}", path = .path.display())]
    Arrays {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: Box<ArraysProblem>,
    },
    /// Arrays of a file that do not form a data set.
    #[error(
        "{path}: {arrays}: {problem}{option}",
        path = .path.display(), option = if .problem.lacks_names() { ", with --target-names" } else { "" }
    )]
    InArrays {
        /// The file.
        path: PathBuf,
        /// The names of the arrays, in words.
        arrays: String,
        /// The problem.
        problem: DatasetProblem,
    },
    /// Files that are not those of CIFAR-10 or CIFAR-100.
    #[error("{path}: {problem}", path = .path.display())]
    Cifar {
        /// The file, or the place where it is expected.
        path: PathBuf,
        /// The problem.
        problem: CifarProblem,
    },
    /// Files that are not those of one of EMNIST's sets.
    #[error("{path}: {problem}", path = .path.display())]
    Emnist {
        /// The file, or the place where it is expected.
        path: PathBuf,
        /// The problem.
        problem: EmnistProblem,
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
            | DataError::UnknownKind { path, .. }
            | DataError::InArrays { path, .. }
            | DataError::Cifar { path, .. }
            | DataError::Emnist { path, .. }
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

fn found_instead(path: &Path) -> &'static str {
    match path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npy")) {
        true => "a single array: give the folder that holds x_train.npy and y_train.npy",
        false => "another file: tables of text become arrays with numpy.savez in Python",
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
