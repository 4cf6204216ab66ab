//! The known data sets: their contents, authors, sources and checksums.

mod entries;
mod entry;

use std::str::FromStr;

use super::error::DataError;
use super::idx::Digests;
use super::image_preparation::Preparation;
use super::picture_shape::PictureShape;
use crate::message_text::similar;
use entries::ENTRIES;

pub use super::dataset_name::DatasetName;
pub use entry::{Contents, Entry, RemoteFile};

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

impl Entry {
    /// Returns the shape of its images.
    pub fn picture_shape(&self) -> PictureShape {
        PictureShape { color: self.color, ..self.image_shape.into() }
    }

    /// Checks a file that takes the place of the one at index `i` in [`files`](Self::files), and holds `samples`
    /// labels, or images of `shape`.
    pub(super) fn check(
        &self,
        i: usize,
        found: &Digests,
        samples: usize,
        shape: Option<PictureShape>,
    ) -> Check {
        let of_another = |entry: &Entry| entry.files.iter().any(|file| file.is(found));
        let fits = self.samples.get(i / 2) == Some(&samples)
            && shape.is_none_or(|shape| shape == self.picture_shape());
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

impl DatasetName {
    /// Returns its entry in the catalog.
    pub fn entry(self) -> &'static Entry {
        match self {
            DatasetName::Mnist => &ENTRIES[0],
            DatasetName::FashionMnist => &ENTRIES[1],
            DatasetName::Kmnist => &ENTRIES[2],
            DatasetName::Digits => &ENTRIES[3],
            DatasetName::Cifar10 => &ENTRIES[4],
            DatasetName::Cifar100 => &ENTRIES[5],
            DatasetName::EmnistBalanced => &ENTRIES[6],
            DatasetName::EmnistByClass => &ENTRIES[7],
            DatasetName::EmnistByMerge => &ENTRIES[8],
            DatasetName::EmnistDigits => &ENTRIES[9],
            DatasetName::EmnistLetters => &ENTRIES[10],
            DatasetName::EmnistMnist => &ENTRIES[11],
        }
    }
}

impl Preparation {
    /// Returns the preparation of the known data set called `name`; `None` for any other.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        find(name).ok().map(|entry| entry.preparation)
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
        assert!(
            error.contains("mnist, fashion-mnist, kmnist, digits, cifar10, cifar100"),
            "{error}"
        );
        assert!(error.ends_with("found \"mnits\": did you mean mnist?"), "{error}");
        let error = find("imagenet").unwrap_err().to_string();
        assert!(error.ends_with("found \"imagenet\": take one of these"), "{error}");
    }

    #[test]
    fn entries_are_complete() {
        for entry in all() {
            let classes = match entry.name {
                DatasetName::Cifar100 => 100,
                DatasetName::EmnistBalanced | DatasetName::EmnistByMerge => 47,
                DatasetName::EmnistByClass => 62,
                DatasetName::EmnistLetters => 26,
                _ => 10,
            };
            assert_eq!(entry.classes.len(), classes);
            let files = match entry.name {
                DatasetName::Digits => 0,
                DatasetName::Cifar10 | DatasetName::Cifar100 => 1,
                name if name.is_emnist() => 1,
                _ => 4,
            };
            assert_eq!(entry.files.len(), files);
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
