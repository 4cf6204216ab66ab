//! Tests of data sets: loading, downloading, streaming.

#[path = "../common/mod.rs"]
mod common;

mod arrays;
mod data_loading;
mod download;
mod stream;
mod target_names;
