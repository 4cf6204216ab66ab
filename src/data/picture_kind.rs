//! Kinds of pictures.

use serde::{Deserialize, Serialize};

/// A kind of pictures, by what may be changed in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PictureKind {
    /// Handwritten digits, which stay what they are when they are rotated, sheared and bent a little.
    Digits,
    /// Other handwritten characters, which do so, too.
    Characters,
    /// Articles of clothing, which stay what they are when they are mirrored.
    Clothes,
    /// Photographs of things that stay what they are when they are shifted and scaled a little.
    Photos,
}

impl PictureKind {
    /// Returns the name as it is in a recipe.
    pub fn as_str(self) -> &'static str {
        match self {
            PictureKind::Digits => "digits",
            PictureKind::Characters => "characters",
            PictureKind::Clothes => "clothes",
            PictureKind::Photos => "photos",
        }
    }
}
