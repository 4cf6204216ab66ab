//! The names of shards.

use std::fs;
use std::path::Path;

use crate::data::error::DataError;

/// One of the two parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Part {
    Train,
    Test,
}

impl Part {
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Test => "test",
        }
    }

    /// Returns the names of a shard's images and labels.
    pub fn shard(self, number: usize, of: usize) -> [String; 2] {
        let part = self.as_str();
        ["images", "labels"].map(|what| format!("{part}-{number:05}-of-{of:05}-{what}.idx"))
    }

    /// Returns the number of shards in a file's name; none if it is not that of a shard.
    pub(super) fn shards_of(self, name: &str) -> Option<usize> {
        let rest = name.strip_prefix(self.as_str())?.strip_prefix('-')?;
        let rest = rest.strip_suffix("-images.idx").or_else(|| rest.strip_suffix("-labels.idx"))?;
        let (number, of) = rest.split_once("-of-")?;
        let is_number = |text: &str| text.len() >= 5 && text.bytes().all(|b| b.is_ascii_digit());
        if is_number(number) && is_number(of) { of.parse().ok() } else { None }
    }
}

/// Returns whether a folder holds shards.
pub(in crate::data) fn has_shards(folder: &Path) -> bool {
    let parts = [Part::Train, Part::Test];
    let is_shard = |name: &String| parts.iter().any(|part| part.shards_of(name).is_some());
    names_in(folder).is_ok_and(|names| names.iter().any(is_shard))
}

/// Returns the names of the entries of a folder.
pub(super) fn names_in(folder: &Path) -> Result<Vec<String>, DataError> {
    let names = fs::read_dir(folder).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    });
    names.map_err(|source| DataError::read(folder, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_known_by_their_names() {
        let [images, labels] = Part::Train.shard(3, 20);
        assert_eq!(images, "train-00003-of-00020-images.idx");
        assert_eq!(labels, "train-00003-of-00020-labels.idx");
        assert_eq!(Part::Train.shards_of(&images), Some(20));
        assert_eq!(Part::Train.shards_of("train-123456-of-200000-labels.idx"), Some(200_000));
        for other in [
            "test-00003-of-00020-images.idx",
            "train-3-of-20-images.idx",
            "train-00003-of-00020-images.idx.gz",
            "train-00003-of--0020-images.idx",
            "train-00003-of-99999999999999999999-images.idx",
            "train-images-idx3-ubyte",
        ] {
            assert_eq!(Part::Train.shards_of(other), None, "{other}");
        }
    }
}
