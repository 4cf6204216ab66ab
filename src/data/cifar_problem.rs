//! Problems of the files of CIFAR.

use super::dataset_name::DatasetName;

/// Files that are not those of CIFAR-10 or CIFAR-100.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CifarProblem {
    /// A file is missing.
    #[error(
        "{dataset} needs this file, and it is not there: unpack the whole archive, or put the archive itself into the \
         folder"
    )]
    Missing {
        /// The data set.
        dataset: DatasetName,
    },
    /// A file that does not consist of whole records.
    #[error(
        "the file must consist of records of {record} bytes, found {found} bytes: copy or unpack it again"
    )]
    Length {
        /// The length of a record.
        record: usize,
        /// The length of the file.
        found: usize,
    },
    /// A label without a class.
    #[error(
        "labels run from 0 to {}, found {label} in record {number}: this is another file, or it is damaged",
        .classes - 1
    )]
    Label {
        /// The number of the record, from 0.
        number: usize,
        /// Its label.
        label: u8,
        /// The number of classes.
        classes: usize,
    },
    /// An invalid list of class names.
    #[error("the file must hold one class name per line, found {0}")]
    Names(String),
    /// A file that is longer than any of CIFAR.
    #[error("the file may have at most 1 GiB, found {found} bytes: this is another file")]
    TooLong {
        /// Its length.
        found: u64,
    },
    /// An archive that cannot be unpacked.
    #[error("the archive must be a .tar.gz, found a damaged one ({0}): download it again")]
    Archive(String),
    /// An archive with other contents than the published one.
    #[error(
        "{dataset}'s archive has another SHA-256 than this one ({found}): delete it and fetch it again"
    )]
    NotKnown {
        /// The data set.
        dataset: DatasetName,
        /// The digest of the file.
        found: String,
    },
}
