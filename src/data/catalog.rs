//! The known data sets: their contents, authors, sources and checksums.

mod entries;

use std::fmt;
use std::str::FromStr;

use super::error::DataError;
use super::idx::Digests;
use super::preparation::Preparation;
use crate::text::similar;
use entries::ENTRIES;

/// The name of a known data set; read and written as on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatasetName {
    /// `mnist`: handwritten digits.
    Mnist,
    /// `fashion-mnist`: articles of clothing.
    FashionMnist,
    /// `kmnist`: cursive Japanese characters.
    Kmnist,
    /// `digits`: small handwritten digits, built in.
    Digits,
}

/// A known data set.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: DatasetName,
    /// Its full name, and what its images show.
    pub title: &'static str,
    /// The license of the data, which is not that of this program.
    pub licence: &'static str,
    /// Its authors, and the publication that describes it.
    pub attribution: &'static str,
    /// The class names; a label is an index into them.
    pub classes: &'static [&'static str],
    /// [height, width] of its images.
    pub image_shape: [usize; 2],
    /// How a picture is converted to an image like those of the data set.
    pub preparation: Preparation,
    /// Number of training and of test images.
    pub samples: [usize; 2],
    /// Base URLs, to which a file's name is appended; they are tried in order.
    /// Empty for built-in data.
    pub mirrors: &'static [&'static str],
    /// The files: training images and labels, test images and labels. Empty for built-in data.
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

/// The result of comparing a file's digests with the published ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// It is the published one, or another gzip of the same contents.
    Right,
    /// Only the digest of the published gzip is on record, and the file is another gzip or none.
    Unknown,
    /// Its contents differ from the published ones.
    Wrong,
}

impl RemoteFile<'_> {
    /// Returns whether these SHA-256 of a file and of its decompressed contents are this file's; either
    /// is enough.
    pub fn matches(&self, file: &str, contents: &str) -> bool {
        self.sha256 == file || self.contents.is_some_and(|known| known.sha256 == contents)
    }

    pub(super) fn is(&self, found: &Digests) -> bool {
        self.matches(&found.file, &found.contents)
    }
}

impl Entry {
    /// Checks a file that takes the place of the one at index `i` in [`files`](Self::files), and holds `samples`
    /// labels, or images of `shape`.
    pub(super) fn check(
        &self,
        i: usize,
        found: &Digests,
        samples: usize,
        shape: Option<[usize; 2]>,
    ) -> Check {
        let of_another = |entry: &Entry| entry.files.iter().any(|file| file.is(found));
        let fits = self.samples.get(i / 2) == Some(&samples)
            && shape.is_none_or(|shape| shape == self.image_shape);
        match self.files.get(i) {
            Some(file) if file.is(found) => Check::Right,
            Some(file) if file.contents.is_some() => Check::Wrong,
            _ if !fits || all().iter().any(of_another) => Check::Wrong,
            _ => Check::Unknown,
        }
    }
}

/// Returns all known data sets.
pub fn all() -> &'static [Entry] {
    &ENTRIES
}

/// Returns the data set called `name`.
///
/// # Errors
/// An unknown name; the error lists the known ones, and asks whether a similar one was meant.
pub fn find(name: &str) -> Result<&'static Entry, DataError> {
    ENTRIES.iter().find(|entry| entry.name.as_str() == name).ok_or_else(|| {
        let similar = similar(name, ENTRIES.iter().map(|entry| entry.name.as_str()));
        DataError::UnknownName { found: name.to_owned(), similar }
    })
}

/// Returns all names, for messages.
pub(super) fn names() -> String {
    ENTRIES.map(|entry| entry.name.as_str()).join(", ")
}

impl DatasetName {
    /// Returns the name as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            DatasetName::Mnist => "mnist",
            DatasetName::FashionMnist => "fashion-mnist",
            DatasetName::Kmnist => "kmnist",
            DatasetName::Digits => "digits",
        }
    }

    /// Returns whether its images show handwritten digits.
    pub fn is_digits(self) -> bool {
        matches!(self, DatasetName::Mnist | DatasetName::Digits)
    }

    /// Returns its entry in the catalog.
    pub fn entry(self) -> &'static Entry {
        match self {
            DatasetName::Mnist => &ENTRIES[0],
            DatasetName::FashionMnist => &ENTRIES[1],
            DatasetName::Kmnist => &ENTRIES[2],
            DatasetName::Digits => &ENTRIES[3],
        }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        find(name).map(|entry| entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for entry in all() {
            assert_eq!(entry.name.to_string().parse::<DatasetName>().unwrap(), entry.name);
            assert_eq!(entry.name.entry().name, entry.name);
        }
        let error = "mnits".parse::<DatasetName>().unwrap_err().to_string();
        assert!(error.contains("mnist, fashion-mnist, kmnist, digits"), "{error}");
        assert!(error.ends_with("found \"mnits\": did you mean mnist?"), "{error}");
        let error = find("cifar10").unwrap_err().to_string();
        assert!(error.ends_with("found \"cifar10\": take one of these"), "{error}");
    }

    #[test]
    fn entries_are_complete() {
        for entry in all() {
            assert_eq!(entry.classes.len(), 10);
            assert_eq!(entry.files.len(), if entry.name == DatasetName::Digits { 0 } else { 4 });
            for file in entry.files {
                let digests = [Some(file.sha256), file.contents.map(|contents| contents.sha256)];
                for digest in digests.into_iter().flatten() {
                    assert!(digest.len() == 64, "{digest}");
                    assert!(
                        digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                    );
                }
            }
            assert!(entry.mirrors.iter().all(|mirror| mirror.ends_with('/')));
        }
    }
}
