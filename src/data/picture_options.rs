//! How a folder of pictures is read: as asked for, or as recorded with a run.

use serde::{Deserialize, Serialize};

use super::image_preparation::Preparation;

/// How a folder of pictures is read. Settings that are missing follow from the pictures, and are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PictureOptions {
    /// \[height, width\] of the images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// How pictures become images of that size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preparation: Option<Preparation>,
    /// Whether images are gray even if pictures are in color.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gray: Option<bool>,
    /// Whether pictures that cannot be used are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_bad: bool,
}

impl PictureOptions {
    /// Returns whether nothing was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these options, and those of `other` where these are not set.
    pub fn or(self, other: Self) -> Self {
        Self {
            size: self.size.or(other.size),
            preparation: self.preparation.or(other.preparation),
            gray: self.gray.or(other.gray),
            skip_bad: self.skip_bad || other.skip_bad,
        }
    }
}
