//! What readers of several kinds of files share: zip archives, NumPy's arrays, and a limit of the memory that a
//! file may ask for.

mod archive;
mod memory_budget;
pub(crate) mod npy;
mod numbers;
mod problem;

pub(crate) use archive::Archive;
pub use memory_budget::MemoryBudget;
pub(crate) use numbers::{Order, count, extend};
pub use problem::FormatProblem;
