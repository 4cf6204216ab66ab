//! Single pictures for prediction: PNG and JPEG files, and IDX files of images. Files are read with the feature
//! `images`.

#[cfg(feature = "images")]
mod apply;
#[cfg(feature = "images")]
mod decode;
mod gray;
mod problem;
#[cfg(feature = "images")]
mod read;

#[cfg(feature = "images")]
pub use super::prepare::prepare;
pub use gray::{Gray, raw};
pub use problem::ImageProblem;
#[cfg(feature = "images")]
pub(crate) use read::from_bytes_within;
#[cfg(feature = "images")]
pub(super) use read::read_picture;
#[cfg(feature = "images")]
pub use read::{Prepared, from_bytes, load, read};

#[cfg(all(test, feature = "images"))]
mod tests;
