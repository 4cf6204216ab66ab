//! Folders of pictures made into data sets: one folder per class, PNG and JPEG files of any size. They are read with
//! the feature `images`.

#[cfg(feature = "images")]
mod choose_options;
#[cfg(feature = "images")]
mod class_folders;
#[cfg(feature = "images")]
mod folder_layout;
#[cfg(feature = "images")]
mod image_cache;
#[cfg(feature = "images")]
mod pack_folder;
mod picture_kind;
pub(super) mod problem;
#[cfg(feature = "images")]
mod read_pictures;
#[cfg(feature = "images")]
mod suggest_preparation;
#[cfg(feature = "images")]
mod walk_class_folders;

#[cfg(feature = "images")]
pub use choose_options::from_pictures_suggested;
#[cfg(feature = "images")]
pub(super) use choose_options::{ReadFolder, read_folder, read_test};
#[cfg(feature = "images")]
pub(super) use pack_folder::Kept;
#[cfg(feature = "images")]
pub use pack_folder::{PackConfig, Packed, from_pictures};
pub(super) use picture_kind::is_picture;
pub use problem::PackProblem;
#[cfg(feature = "images")]
pub use suggest_preparation::suggest;

#[cfg(all(test, feature = "images"))]
mod tests;
