//! Lists of f32 that begin at a cache line, and long ones in huge pages.

use std::ops::{Deref, DerefMut};

use super::reserved;

/// The number of f32 in a cache line of 64 bytes, which is also the width of an AVX-512 register.
const WIDTH: usize = 16;

#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
struct Line([f32; WIDTH]);

/// Bytes of a huge page of x86-64 and of most 64-bit ARM systems.
const HUGE_PAGE: usize = 2 << 20;

/// The shortest list, in bytes, that gets huge pages: shorter ones would waste most of one.
const LONG: usize = 256 << 10;

/// A list of f32 whose first element is at a multiple of 64 bytes. Where it is not, each load of a whole register
/// reads two cache lines: Adam took half as long again, and a step at batch 32 a sixth more (`Vec<f32>`, whose place
/// depends on what was allocated before).
///
/// A list of at least [`LONG`] bytes begins at a huge page, which Linux is asked for, against misses of the TLB: steps
/// at batch 32 became 4 % faster, at batch 256 2 %. It costs up to 2 MiB of memory a list.
#[derive(Debug, Default)]
pub(crate) struct AlignedFloats {
    /// Only its allocation is used, from line `first` on.
    lines: Vec<Line>,
    first: usize,
    length: usize,
}

impl AlignedFloats {
    /// Returns an empty list, without an allocation.
    pub const fn new() -> Self {
        Self { lines: Vec::new(), first: 0, length: 0 }
    }

    /// Returns an empty list with capacity for `count` elements or, if there is no memory for them, the number of
    /// bytes that they need.
    pub fn with_capacity(count: usize) -> Result<Self, usize> {
        let bytes = count.saturating_mul(size_of::<f32>());
        if bytes < LONG {
            return Ok(Self { lines: reserved(count.div_ceil(WIDTH))?, first: 0, length: 0 });
        }
        // Pages that are never written take no memory.
        let pages = bytes.div_ceil(HUGE_PAGE).saturating_add(1);
        let lines: Vec<Line> = reserved(pages.saturating_mul(HUGE_PAGE / size_of::<Line>()))?;
        let first = lines.as_ptr().align_offset(HUGE_PAGE);
        let list = Self { lines, first, length: 0 };
        list.ask_for_huge_pages((pages - 1) * HUGE_PAGE);
        Ok(list)
    }

    /// Asks for huge pages for the first `bytes`, a multiple of [`HUGE_PAGE`].
    fn ask_for_huge_pages(&self, bytes: usize) {
        #[cfg(target_os = "linux")]
        {
            use rustix::mm::{Advice, madvise};
            let start = self.start().cast_mut().cast();
            // SAFETY: the range is in the allocation, and the advice does not change its contents.
            // A kernel without huge pages refuses, and gives small ones.
            let _ = unsafe { madvise(start, bytes, Advice::LinuxHugepage) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = bytes;
    }

    fn start(&self) -> *const f32 {
        // SAFETY: `first` is at most the capacity.
        unsafe { self.lines.as_ptr().add(self.first).cast() }
    }

    fn capacity(&self) -> usize {
        (self.lines.capacity() - self.first) * WIDTH
    }

    /// Shortens the list to `length` elements, or appends zeros.
    pub fn resize(&mut self, length: usize) {
        let before = self.length;
        if length > before {
            if length > self.capacity() {
                let lines = Vec::with_capacity(length.div_ceil(WIDTH));
                let old = std::mem::replace(self, Self { lines, first: 0, length: 0 });
                // SAFETY: both have room for `before` elements, which the old one holds.
                unsafe { old.start().copy_to_nonoverlapping(self.start().cast_mut(), before) };
            }
            // SAFETY: the capacity is at least `length`.
            unsafe { self.start().cast_mut().add(before).write_bytes(0, length - before) };
        }
        self.length = length;
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
        // SAFETY: the first `length` elements are initialized.
        unsafe { std::slice::from_raw_parts(self.start(), self.length) }
    }
}

impl DerefMut for AlignedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and the list is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start().cast_mut(), self.length) }
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
        let count = 3 * LONG / size_of::<f32>() + 1;
        let mut long = AlignedFloats::with_capacity(count).unwrap();
        long.resize(count);
        assert_eq!((long.len(), long.as_ptr().addr() % HUGE_PAGE), (count, 0));
        long.fill(1.5);
        // More than it has room for.
        long.resize(2 * HUGE_PAGE);
        assert!(long[..count].iter().all(|&value| value == 1.5));
        assert!(long[count..].iter().all(|&value| value == 0.0));
        assert!(AlignedFloats::with_capacity(usize::MAX / 8).is_err());
    }
}
