//! Tests of imported and exported models against the programs that they come from or go to.

#[path = "../common/mod.rs"]
mod common;

mod export_arrays;
mod export_cpp;
mod export_formats;
mod export_pt2;
mod export_pytorch;
mod import;
mod import_pictures;
mod import_python;
mod import_tasks;
mod layers;
mod onnx_graphs;
mod round_trips;
