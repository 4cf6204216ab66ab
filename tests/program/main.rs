//! Tests of the program and its documentation, as people use them.

#[path = "../common/mod.rs"]
mod common;

mod archive;
mod cli;
mod color_pictures;
mod convenience_features;
mod dependent_crate;
#[cfg(feature = "serve")]
mod docs;
#[cfg(feature = "serve")]
mod new_user_journey;
mod output_files;
mod predict;
mod predict_arrays;
mod wheel;
#[cfg(all(target_os = "linux", feature = "serve"))]
mod without_libtorch;
