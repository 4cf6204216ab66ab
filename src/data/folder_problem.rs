//! Files in a folder that do not form a data set.

use std::path::PathBuf;

use super::dataset_name::DatasetName;
use super::picture_shape::PictureShape;
use crate::message_text::quoted;

/// A folder whose files do not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FolderProblem {
    /// Options for data of another kind.
    #[error("{0}: leave the option out")]
    Options(&'static str),
    /// One of the four files is missing.
    #[error(
        "a data set of IDX files needs {wanted} (or with .gz, or test- for t10k-), and the folder {holds}"
    )]
    Missing {
        /// The file's usual name.
        wanted: String,
        /// The contents of the folder.
        holds: String,
    },
    /// Nothing that a data set is made of.
    #[error(
        "a folder of data holds IDX files such as train-images-idx3-ubyte, pictures in a folder for each class, or \
         arrays such as x_train.npy, and this one {0}"
    )]
    NoData(String),
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
        "pictures belong in one folder per class, such as cats/1.png and dogs/1.png, and this folder holds pictures \
         itself: move each into the folder of its class"
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
        "training and test images must have the same size, found {train} and {test} (height x \
         width): take both from the same source"
    )]
    Shapes {
        /// The shape of the training images.
        train: PictureShape,
        /// The shape of the test images.
        test: PictureShape,
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
        "dataset.toml holds one line, preparation = \"raw\", \"digit\", \"resize\", \"crop\" or \"letterbox\", \
         found {0}: correct it, or delete the file if it belongs to something else"
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
