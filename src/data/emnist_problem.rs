//! Problems of the files of EMNIST.

use super::dataset_name::DatasetName;
use super::picture_shape::PictureShape;

/// Files that are not those of one of EMNIST's sets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmnistProblem {
    /// A file is missing, in a folder or in the archive.
    #[error("{dataset} needs this file, and it is not there: put it, or the whole gzip.zip, there")]
    Missing {
        /// The data set.
        dataset: DatasetName,
    },
    /// Files of several sets where one is asked for.
    #[error(
        "a folder must hold one data set, found {0}: move the files of one into another folder, or name this \
         folder emnist, set SEQFIT_DATA to the folder around it, and choose one with --dataset NAME"
    )]
    Several(String),
    /// An archive that cannot be read.
    #[error("the archive must be EMNIST's gzip.zip, found {0}: download it again")]
    Archive(String),
    /// Images of another size.
    #[error("the images of EMNIST have 28x28 pixels, found {0}: this is another file")]
    Size(PictureShape),
    /// A label without a class.
    #[error(
        "labels run from {first} to {last}, found {label} at sample {sample}: this is another file, or it is damaged"
    )]
    Label {
        /// The sample's index, from 0.
        sample: usize,
        /// Its label.
        label: u8,
        /// The label of the first class.
        first: usize,
        /// The label of the last class.
        last: usize,
    },
    /// Unpacked files with other numbers of images than the published ones.
    #[error(
        "{dataset} has {wanted} training and test images, found {found}: put gzip.zip there, or give the folder as \
         your own data with --data-dir"
    )]
    Count {
        /// The data set.
        dataset: DatasetName,
        /// The published numbers, in words.
        wanted: String,
        /// Those of the files.
        found: String,
    },
}
