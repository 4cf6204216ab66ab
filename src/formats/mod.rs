//! What readers of several kinds of files share: zip archives, NumPy's arrays, and a limit of the memory that a
//! file may ask for.

mod decode_bytes;
mod memory_budget;
pub(crate) mod npy;
mod problem;
mod zip_archive;

pub(crate) use decode_bytes::{Order, count, extend};
pub use memory_budget::MemoryBudget;
pub use problem::FormatProblem;
pub(crate) use zip_archive::Archive;
