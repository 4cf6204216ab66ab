//! Data sets in named arrays: what all files of arrays have in common. The kinds of files are in `src/data/sources/`.

mod features_and_targets;
mod name_targets;
mod named_arrays;
mod named_classes;
mod npy_pair;
pub(super) mod problem;
mod read;
mod read_whole_file;
mod samples;
#[cfg(test)]
mod tests;
mod text;

pub use named_arrays::Arrays;
pub(super) use named_arrays::{Failure, NamedArrays, load, load_test, read_all};
pub use npy_pair::load_npy;
pub use problem::ArraysProblem;
pub(super) use read::{Array, array, decode};
pub(super) use read_whole_file::whole;
pub(super) use samples::{features_in, features_in_npy};
