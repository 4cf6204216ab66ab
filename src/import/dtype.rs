//! The types of a tensor's numbers.

use std::fmt;

/// The type of a tensor's numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// The upper half of an f32.
    BF16,
    /// IEEE 754, 64 bits; rounded to the nearest f32.
    F64,
    /// Anything else, by its name in the file.
    Other(String),
}

impl Dtype {
    /// The types that weights may have, in words.
    pub const WEIGHTS: &str = "F32, F16, BF16 or F64";

    /// Returns the bytes per number.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::F16 | Self::BF16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F64 => "F64",
            Self::Other(name) => name,
        })
    }
}
