//! Single pictures for prediction: PNG and JPEG files, and IDX files of images. Files are read with the feature
//! `images`.

#[cfg(feature = "images")]
mod decode;
#[cfg(feature = "images")]
mod fit_to_network;
mod gray_image;
pub(super) mod problem;
#[cfg(feature = "images")]
mod read_files;
mod rgb_image;

#[cfg(feature = "images")]
pub use super::digit_photo::prepare;
pub use gray_image::{Gray, raw};
pub use problem::ImageProblem;
#[cfg(feature = "images")]
pub(crate) use read_files::picture_from_bytes;
#[cfg(feature = "images")]
pub use read_files::{Prepared, from_bytes, load, load_rgb, read};
#[cfg(feature = "images")]
pub(super) use read_files::{decoded_size, file_bytes, picture_in};
pub use rgb_image::Rgb;

#[cfg(all(test, feature = "images"))]
mod tests;
