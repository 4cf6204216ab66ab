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
}

impl DatasetName {
    const ALL: [Self; 6] = [
        Self::Mnist,
        Self::FashionMnist,
        Self::Kmnist,
        Self::Digits,
        Self::Cifar10,
        Self::Cifar100,
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
        }
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
