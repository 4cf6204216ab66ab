//! Problems of folders of pictures.

use std::path::PathBuf;

use crate::free_memory::{MemoryOwner, gigabytes};

/// A folder that is not laid out as classes of pictures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackProblem {
    /// Fewer than two classes.
    #[error(
        "training pictures belong in one folder per class, such as cats/1.png and dogs/1.png (or \
         train/cats/1.png and test/cats/2.png), found {0}"
    )]
    Classes(String),
    /// Folders whose names are not those of classes.
    #[error(
        "the folders are named like the classes: 2 to 256 different names, each of 1 to 100 characters and none \
         of them a control character, found {0}: rename the folders"
    )]
    Names(String),
    /// A class without pictures.
    #[error(
        "each class needs at least {needed} usable .png, .jpg, .jpeg, .jpe or .jfif files, found {found}{}: add some, or move the folder \
         away",
        left_out.iter().map(|note| format!("; {note}")).collect::<String>()
    )]
    TooFew {
        /// The number needed.
        needed: usize,
        /// The number found.
        found: usize,
        /// The files that were not recognized as pictures, in sentences.
        left_out: Vec<String>,
    },
    /// More images than fit into memory.
    #[error(
        "the images of {pictures} pictures take {} of memory, and {owner} has {} left: choose a smaller --image-size, \
         --gray, or fewer pictures",
        gigabytes(*.needed),
        gigabytes(*.left)
    )]
    Memory {
        /// The number of pictures.
        pictures: usize,
        /// Bytes that their images take.
        needed: u64,
        /// Bytes that are left.
        left: u64,
        /// Whose they are.
        owner: MemoryOwner,
    },
    /// Parts with different classes.
    #[error(
        "each part of a data set must have the same classes, found no {lacks} here, but in {other}: add \
         what is missing, or remove it there",
        other = .other.display()
    )]
    Differ {
        /// The names of the classes that the folder lacks.
        lacks: String,
        /// The folder of the part that has them.
        other: PathBuf,
    },
    /// Two classes, or one class in two parts, that are the same folder.
    #[error(
        "each class of each part needs its own folder, found the same folder in {other} through a link: remove one \
         of the two",
        other = .0.display()
    )]
    SameFolder(PathBuf),
    /// A test or validation folder without a training folder.
    #[error(
        "a folder with parts needs a training folder, called train or training, found only {0}: add it, or give \
         the folder that holds the classes"
    )]
    NoTraining(String),
    /// Two folders for one part.
    #[error(
        "each part (train, val, test) has one folder, found {0:?} and {1:?}: put both into one"
    )]
    TwoSpellings(String, String),
    /// A folder that may be a part or a class.
    #[error(
        "{0:?} may be a part with a folder for each class, or a class beside others, found folders in it and \
         beside it: move the others away if it is a part, or give it another name if it is a class"
    )]
    Ambiguous(String),
    /// A name that no text file can hold.
    #[error("the name of a class must be UTF-8, found other bytes: rename the folder")]
    NotUtf8,
}
