//! Tests of training: results, resuming, run folders, engines, ranks.

#[path = "../common/mod.rs"]
mod common;

mod combinations;
mod cuda;
mod cuda_graph_symbols;
mod distributed;
mod fit;
mod layers;
mod losses;
mod metrics;
mod noise_layers;
mod nothing_is_lost;
mod pytorch_reference;
mod recipes;
mod resume;
mod run_folder;
