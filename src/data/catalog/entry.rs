//! Facts about a known data set.

use crate::data::dataset_name::DatasetName;
use crate::data::idx::Digests;
use crate::data::image_preparation::Preparation;
use crate::data::picture_kind::PictureKind;

/// A known data set.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: DatasetName,
    /// Its full name, and what its images show.
    pub title: &'static str,
    /// What its images show, for recipes.
    pub pictures: PictureKind,
    /// The license of the data, which is not that of this program.
    pub licence: &'static str,
    /// Its authors, and the publication that describes it.
    pub attribution: &'static str,
    /// The class names; a label is an index into them.
    pub classes: &'static [&'static str],
    /// [height, width] of its images.
    pub image_shape: [usize; 2],
    /// Whether they are in color, \[3, height, width\].
    pub color: bool,
    /// How a picture is converted to an image like those of the data set.
    pub preparation: Preparation,
    /// Number of training and of test images.
    pub samples: [usize; 2],
    /// Base URLs, to which a file's name is appended; they are tried in order.
    /// Empty for built-in data.
    pub mirrors: &'static [&'static str],
    /// The files: training images and labels, test images and labels; or one archive. Empty for built-in data.
    pub files: &'static [RemoteFile<'static>],
}

/// A file to download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteFile<'a> {
    /// Its name, on the mirrors and in the folder it is saved to.
    pub name: &'a str,
    /// Its length in bytes; not a single byte more is ever written.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits in lower case.
    pub sha256: &'a str,
    /// The contents of the gzip, where they are known: then a file compressed by another program is
    /// accepted, too.
    pub contents: Option<Contents<'a>>,
}

/// The contents of a gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents<'a> {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, 64 hexadecimal digits in lower case.
    pub sha256: &'a str,
}

impl RemoteFile<'_> {
    /// Returns whether these SHA-256 of a file and of its decompressed contents are this file's; either
    /// is enough.
    pub fn matches(&self, file: &str, contents: &str) -> bool {
        self.sha256 == file || self.contents.is_some_and(|known| known.sha256 == contents)
    }

    pub(in crate::data) fn is(&self, found: &Digests) -> bool {
        self.matches(&found.file, &found.contents)
    }
}
