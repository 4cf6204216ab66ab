//! The files of a streamed data set: shards, or the usual four.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::problem::StreamProblem;
use super::shard_names::{Part, has_shards, names_in};
use crate::data::error::DataError;
use crate::data::find_files::{self, Role};

/// A file of images and the file of their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub images: PathBuf,
    pub labels: PathBuf,
}

impl Part {
    fn roles(self) -> [Role; 2] {
        match self {
            Part::Train => [Role::TrainImages, Role::TrainLabels],
            Part::Test => [Role::TestImages, Role::TestLabels],
        }
    }

    /// Returns the files of this part in a folder: all its shards if there is one, else the usual two.
    pub(super) fn find(self, folder: &Path) -> Result<Vec<Pair>, DataError> {
        let names = names_in(folder)?;
        let counts: BTreeSet<usize> = names.iter().filter_map(|n| self.shards_of(n)).collect();
        let mut counts = counts.into_iter();
        match (counts.next(), counts.next()) {
            (Some(first), Some(second)) => {
                let problem = StreamProblem::Mixed { part: self.as_str(), first, second };
                Err(DataError::Stream { path: folder.to_owned(), problem })
            }
            (Some(of), None) => self.all_shards(of, folder, &names),
            (None, _) => self.usual(folder),
        }
    }

    fn all_shards(
        self,
        of: usize,
        folder: &Path,
        names: &[String],
    ) -> Result<Vec<Pair>, DataError> {
        let present: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        // A name may contain any number, so no pair is created before its file is seen.
        let shard = |number| {
            let [images, labels] = self.shard(number, of);
            for name in [&images, &labels] {
                if !present.contains(name.as_str()) {
                    let problem = StreamProblem::Missing { missing: name.clone() };
                    return Err(DataError::Stream { path: folder.to_owned(), problem });
                }
            }
            Ok(Pair { images: folder.join(images), labels: folder.join(labels) })
        };
        // Of zero shards there is no first.
        (0..of.max(1)).map(shard).collect()
    }

    fn usual(self, folder: &Path) -> Result<Vec<Pair>, DataError> {
        let find = |role: Role| {
            role.find(folder)?.ok_or_else(|| {
                let wanted = role.names().swap_remove(0);
                let [shard, _] = self.shard(0, 1);
                let wanted = format!("{wanted} or shards such as {shard}");
                find_files::lacking(folder, wanted, &|dir| self.find(dir).is_ok())
            })
        };
        let [images, labels] = self.roles();
        Ok(vec![Pair { images: find(images)?, labels: find(labels)? }])
    }
}

/// Returns the folder that holds the files of `parts`: `folder`, or the only one below it that has them all.
pub(super) fn holder(folder: &Path, parts: &[Part]) -> Result<PathBuf, DataError> {
    let some = |dir: &Path| has_shards(dir) || find_files::has_some(dir);
    find_files::holder(folder, &some, &|dir| parts.iter().all(|part| part.find(dir).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let error = |part: Part| part.find(path).unwrap_err().to_string();
        assert!(error(Part::Train).contains("and this one is empty"), "{}", error(Part::Train));
        for name in ["train-00000-of-00002-images.idx", "train-00000-of-00002-labels.idx"] {
            std::fs::write(path.join(name), []).unwrap();
        }
        assert!(has_shards(path));
        assert!(error(Part::Train).contains("train-00001-of-00002-images.idx is missing"));
        std::fs::write(path.join("train-00001-of-00002-images.idx"), []).unwrap();
        assert!(error(Part::Train).contains("train-00001-of-00002-labels.idx is missing"));
        std::fs::write(path.join("train-00001-of-00002-labels.idx"), []).unwrap();
        assert_eq!(Part::Train.find(path).unwrap().len(), 2);
        std::fs::write(path.join("train-00000-of-00003-labels.idx"), []).unwrap();
        assert!(error(Part::Train).contains("found train-*-of-00002 beside train-*-of-00003"));
    }
}
