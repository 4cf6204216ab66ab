//! Tests of data sets: loading, downloading, streaming.

#[path = "../common/mod.rs"]
mod common;

mod data_loading;
mod download;
mod stream;
