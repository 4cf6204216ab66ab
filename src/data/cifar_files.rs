//! The files of CIFAR-10 and CIFAR-100: their names, and where they are in a folder.

use std::path::{Path, PathBuf};

use super::catalog::DatasetName;

/// The files of one of the two.
pub(super) struct Layout {
    pub name: DatasetName,
    /// The archive, and the folder in it.
    pub archive: &'static str,
    pub folder: &'static str,
    pub train: &'static [&'static str],
    pub test: &'static str,
    /// The list of class names.
    pub names: &'static str,
    /// The number of labels of a record, of which the last is used.
    pub labels: usize,
}

static LAYOUTS: [Layout; 2] = [
    Layout {
        name: DatasetName::Cifar10,
        archive: "cifar-10-binary.tar.gz",
        folder: "cifar-10-batches-bin",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        names: "batches.meta.txt",
        labels: 1,
    },
    Layout {
        name: DatasetName::Cifar100,
        archive: "cifar-100-binary.tar.gz",
        folder: "cifar-100-binary",
        train: &["train.bin"],
        test: "test.bin",
        names: "fine_label_names.txt",
        labels: 2,
    },
];

/// Where the files of a data set are.
pub(super) enum Place {
    /// In this folder.
    Folder(PathBuf),
    /// In this archive.
    Archive(PathBuf),
}

impl Layout {
    /// Returns the layout of the files in a folder, if they are there.
    pub fn in_folder(folder: &Path) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.place(folder).is_some())
    }

    /// Returns the layout of a known data set, if it is one of the two.
    pub fn of(name: DatasetName) -> Option<&'static Self> {
        LAYOUTS.iter().find(|layout| layout.name == name)
    }

    pub fn place(&self, folder: &Path) -> Option<Place> {
        let unpacked = [folder.to_owned(), folder.join(self.folder)];
        let unpacked = unpacked.into_iter().find(|folder| {
            self.train.iter().chain([&self.test]).any(|name| folder.join(name).is_file())
        });
        let archive = folder.join(self.archive);
        unpacked.map(Place::Folder).or_else(|| archive.is_file().then_some(Place::Archive(archive)))
    }

    /// Returns whether the files, or the archive, are in a folder.
    pub fn is_in(&self, folder: &Path) -> bool {
        self.place(folder).is_some()
    }
}
