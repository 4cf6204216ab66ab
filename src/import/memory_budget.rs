//! How much memory a file may ask for.

use super::error::Problem;
use crate::native::reserved;

/// Bytes that may still be taken for what a file holds: unpacked records and values as f32.
///
/// A file is given [`TIMES`](Self::TIMES) its own length where it stores its numbers as they are (f16
/// takes twice its length as f32, and two tensors may share their numbers), [`PACKED`](Self::PACKED)
/// times where it packs them, and [`LEAST`](Self::LEAST) in any case. Whatever it claims beyond that is
/// refused before memory is taken.
#[derive(Debug)]
pub struct MemoryBudget {
    left: usize,
    most: usize,
}

impl MemoryBudget {
    /// What a file of stored numbers may take, in its own lengths.
    pub const TIMES: usize = 8;
    /// What a file of packed numbers may take.
    pub const PACKED: usize = 64;
    /// What every file may take, in bytes.
    pub const LEAST: usize = 1 << 20;

    /// That of a file of `length` bytes.
    pub(super) fn new(length: usize, times: usize) -> Self {
        let most = length.saturating_mul(times).saturating_add(Self::LEAST);
        Self { left: most, most }
    }

    /// Takes room for `count` elements; nothing is allocated.
    pub(super) fn take<T>(&mut self, count: usize) -> Result<(), Problem> {
        let bytes = count.saturating_mul(size_of::<T>());
        match self.left.checked_sub(bytes) {
            None => Err(Problem::TooMuch { most: self.most }),
            Some(left) => {
                self.left = left;
                Ok(())
            }
        }
    }

    /// An empty list with room for `count` elements.
    pub(super) fn list<T>(&mut self, count: usize) -> Result<Vec<T>, Problem> {
        self.take::<T>(count)?;
        reserved(count).map_err(|bytes| Problem::Memory { bytes })
    }
}
