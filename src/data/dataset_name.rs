//! The names of the known data sets.

use std::fmt;

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
    /// `cifar10`: small photographs in color of 10 classes.
    Cifar10,
    /// `cifar100`: small photographs in color of 100 classes.
    Cifar100,
    /// `emnist-balanced`: handwritten digits and letters of 47 balanced classes.
    EmnistBalanced,
    /// `emnist-byclass`: handwritten digits and letters of 62 classes.
    EmnistByClass,
    /// `emnist-bymerge`: the same, with 15 letters whose upper and lower case look alike merged.
    EmnistByMerge,
    /// `emnist-digits`: handwritten digits.
    EmnistDigits,
    /// `emnist-letters`: handwritten letters, upper and lower case merged.
    EmnistLetters,
    /// `emnist-mnist`: 70,000 handwritten digits.
    EmnistMnist,
}

impl DatasetName {
    const ALL: [Self; 12] = [
        Self::Mnist,
        Self::FashionMnist,
        Self::Kmnist,
        Self::Digits,
        Self::Cifar10,
        Self::Cifar100,
        Self::EmnistBalanced,
        Self::EmnistByClass,
        Self::EmnistByMerge,
        Self::EmnistDigits,
        Self::EmnistLetters,
        Self::EmnistMnist,
    ];

    /// Returns the name as it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            DatasetName::Mnist => "mnist",
            DatasetName::FashionMnist => "fashion-mnist",
            DatasetName::Kmnist => "kmnist",
            DatasetName::Digits => "digits",
            DatasetName::Cifar10 => "cifar10",
            DatasetName::Cifar100 => "cifar100",
            DatasetName::EmnistBalanced => "emnist-balanced",
            DatasetName::EmnistByClass => "emnist-byclass",
            DatasetName::EmnistByMerge => "emnist-bymerge",
            DatasetName::EmnistDigits => "emnist-digits",
            DatasetName::EmnistLetters => "emnist-letters",
            DatasetName::EmnistMnist => "emnist-mnist",
        }
    }

    /// Returns whether it is one of the six of EMNIST, which share an archive and a folder.
    pub(super) fn is_emnist(self) -> bool {
        self.as_str().starts_with("emnist-")
    }

    /// Returns the name of its folder, in the data folder and in the cache.
    pub(super) fn folder(self) -> &'static str {
        if self.is_emnist() { "emnist" } else { self.as_str() }
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Returns all names, for messages.
pub(super) fn names() -> String {
    DatasetName::ALL.map(DatasetName::as_str).join(", ")
}
