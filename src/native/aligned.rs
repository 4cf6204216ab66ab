//! Lists of f32 that begin at a cache line.

use std::ops::{Deref, DerefMut};

use super::reserved;

/// The number of f32 in a cache line of 64 bytes, which is also the width of an AVX-512 register.
const WIDTH: usize = 16;

#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
struct Line([f32; WIDTH]);

/// A list of f32 whose first element is at a multiple of 64 bytes. Where it is not, each load of a whole register
/// reads two cache lines: Adam took half as long again, and a step at batch 32 a sixth more (`Vec<f32>`, whose place
/// depends on what was allocated before).
#[derive(Debug, Default)]
pub(crate) struct AlignedFloats {
    lines: Vec<Line>,
    length: usize,
}

impl AlignedFloats {
    /// Returns an empty list, without an allocation.
    pub const fn new() -> Self {
        Self { lines: Vec::new(), length: 0 }
    }

    /// Returns an empty list with capacity for `count` elements or, if there is no memory for them, the number of
    /// bytes that they need.
    pub fn with_capacity(count: usize) -> Result<Self, usize> {
        Ok(Self { lines: reserved(count.div_ceil(WIDTH))?, length: 0 })
    }

    /// Shortens the list to `length` elements, or appends zeros.
    pub fn resize(&mut self, length: usize) {
        if length > self.length {
            self.lines.resize(length.div_ceil(WIDTH), Line::default());
            let before = std::mem::replace(&mut self.length, length);
            // The rest of the line that was the last.
            let end = before.next_multiple_of(WIDTH).min(length);
            self[before..end].fill(0.0);
        } else {
            self.length = length;
            self.lines.truncate(length.div_ceil(WIDTH));
        }
    }

    /// Replaces the elements, and keeps the allocation if they fit.
    pub fn set(&mut self, values: &[f32]) {
        self.resize(values.len());
        self.copy_from_slice(values);
    }
}

impl Deref for AlignedFloats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `length` initialized f32 without gaps: a line has no padding.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl DerefMut for AlignedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the list is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_begin_at_cache_lines_and_new_elements_are_zeros() {
        let mut list = AlignedFloats::with_capacity(100).unwrap();
        assert!(list.is_empty());
        for length in [1, 15, 16, 17, 100, 33, 5, 40, 0, 1000] {
            let before = list.to_vec();
            list.resize(length);
            assert_eq!((list.len(), list.as_ptr().addr() % 64), (length, 0));
            let kept = before.len().min(length);
            assert_eq!(list[..kept], before[..kept]);
            assert!(list[kept..].iter().all(|&value| value == 0.0));
            list.fill(length as f32 + 1.0);
        }
        list.set(&[1.0, 2.0]);
        assert_eq!(list[..], [1.0, 2.0]);
        assert!(AlignedFloats::with_capacity(usize::MAX / 8).is_err());
    }
}
