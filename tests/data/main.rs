//! Tests of data sets: loading, downloading, streaming.

#[path = "../common/mod.rs"]
mod common;

mod arrays;
mod cifar;
mod data_loading;
mod download;
mod emnist;
mod picture_folders;
mod stream;
mod target_names;
