//! Folders of pictures made into data sets: one folder per class, PNG and JPEG files of any size. They are read with
//! the feature `images`.

#[cfg(feature = "images")]
mod build;
#[cfg(feature = "images")]
mod classes;
#[cfg(feature = "images")]
mod layout;
mod picture_kind;
mod problem;
#[cfg(feature = "images")]
mod suggest;
#[cfg(feature = "images")]
mod walk;

#[cfg(feature = "images")]
pub use build::{PackConfig, Packed, from_pictures};
pub(super) use picture_kind::is_picture;
pub use problem::PackProblem;
#[cfg(feature = "images")]
pub use suggest::{from_pictures_suggested, suggest};

#[cfg(all(test, feature = "images"))]
mod tests;
