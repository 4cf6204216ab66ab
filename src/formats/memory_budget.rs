//! The memory that a file may ask for.

use super::problem::FormatProblem as Problem;
use crate::native::reserved;

/// Bytes that may still be allocated for a file's contents: unpacked records and values as f32.
///
/// A file may use [`TIMES`](Self::TIMES) its own length if it stores its numbers uncompressed (f16
/// takes twice its length as f32, and two tensors may share their numbers), [`PACKED`](Self::PACKED)
/// times if it compresses them, and [`LEAST`](Self::LEAST) in any case. Anything it claims beyond that is
/// rejected before memory is allocated.
#[derive(Debug)]
pub struct MemoryBudget {
    left: usize,
    most: usize,
}

impl MemoryBudget {
    /// The budget of a file of stored numbers, as a multiple of its length.
    pub const TIMES: usize = 8;
    /// The budget of a file of packed numbers, as a multiple of its length.
    pub const PACKED: usize = 64;
    /// The budget of every file, in bytes.
    pub const LEAST: usize = 1 << 20;

    /// Creates the budget of a file of `length` bytes.
    pub fn new(length: usize, times: usize) -> Self {
        let most = length.saturating_mul(times).saturating_add(Self::LEAST);
        Self { left: most, most }
    }

    /// Reserves room for `count` elements; nothing is allocated.
    pub fn take<T>(&mut self, count: usize) -> Result<(), Problem> {
        let bytes = count.saturating_mul(size_of::<T>());
        match self.left.checked_sub(bytes) {
            None => Err(Problem::TooMuch { most: self.most }),
            Some(left) => {
                self.left = left;
                Ok(())
            }
        }
    }

    /// Returns an empty list with room for `count` elements.
    pub fn list<T>(&mut self, count: usize) -> Result<Vec<T>, Problem> {
        self.take::<T>(count)?;
        reserved(count).map_err(|bytes| Problem::Memory { bytes })
    }
}
