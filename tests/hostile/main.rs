//! Tests that damaged and hostile files are errors, never a panic and never much memory.

#[path = "../common/mod.rs"]
mod common;

mod fuzz_corpus;
mod idx_properties;
mod import_hostile;
mod onnx_hostile;
mod pt2_hostile;
