//! Memory for saying that there is none left.
//!
//! libtorch's large tensors and our own large lists fail with an error that names what is missing. The
//! few bytes of that very message would end the process without a word, if they were not there: this
//! allocator takes them from a region of its own when the system refuses.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Only what is smaller comes from the reserve: whoever asks for more handles a refusal.
const SMALL: usize = 1 << 17;
/// Bytes of the reserve. They cost addresses and no memory until they are written to.
const RESERVE: usize = 4 << 20;
/// What every address in the reserve may be aligned to.
const ALIGNMENT: usize = 64;

/// The system's allocator, with a reserve for small requests that it refuses. What was taken from the
/// reserve is not given back to it: by then the process is about to end.
pub struct WithReserve {
    region: UnsafeCell<Region>,
    used: AtomicUsize,
}

#[repr(align(64))]
struct Region(#[expect(dead_code, reason = "read and written by address")] [u8; RESERVE]);

// SAFETY: every byte of the region is handed out once.
unsafe impl Sync for WithReserve {}

impl WithReserve {
    /// With its whole reserve.
    pub const fn new() -> Self {
        Self { region: UnsafeCell::new(Region([0; RESERVE])), used: AtomicUsize::new(0) }
    }

    /// Some of the reserve, which is all zeros; null if it is too much.
    fn take(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= SMALL || layout.align() > ALIGNMENT {
            return ptr::null_mut();
        }
        let size = layout.size().next_multiple_of(ALIGNMENT);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(size).filter(|&end| end <= RESERVE)
        });
        match taken {
            // SAFETY: `start` and the bytes behind it lie in the region.
            Ok(start) => unsafe { self.region.get().cast::<u8>().add(start) },
            Err(_) => ptr::null_mut(),
        }
    }

    fn owns(&self, pointer: *mut u8) -> bool {
        let start = self.region.get().addr();
        (start..start + RESERVE).contains(&pointer.addr())
    }

    fn or_reserve(&self, found: *mut u8, layout: Layout) -> *mut u8 {
        if found.is_null() { self.take(layout) } else { found }
    }
}

// SAFETY: memory is the system allocator's or from the region, which is never handed out twice.
unsafe impl GlobalAlloc for WithReserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY (here and below): the caller keeps the same contract.
        self.or_reserve(unsafe { System.alloc(layout) }, layout)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if !self.owns(pointer) {
            unsafe { System.dealloc(pointer, layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.or_reserve(unsafe { System.alloc_zeroed(layout) }, layout)
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !self.owns(pointer) {
            let found = unsafe { System.realloc(pointer, layout, size) };
            if !found.is_null() {
                return found;
            }
        }
        // A refused one leaves what was there. SAFETY: the size is the caller's, the alignment was one.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let found = match self.owns(pointer) {
            true => unsafe { self.alloc(new) },
            false => self.take(new),
        };
        if !found.is_null() {
            unsafe {
                ptr::copy_nonoverlapping(pointer, found, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_for_small_requests_and_ends() {
        let allocator = Box::leak(Box::new(WithReserve::new()));
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        let (a, b) = (allocator.take(layout(10, 1)), allocator.take(layout(100, 64)));
        assert!(allocator.owns(a) && allocator.owns(b) && b.addr() % 64 == 0);
        assert_eq!(b.addr() - a.addr(), 64);
        assert!(allocator.take(layout(SMALL, 1)).is_null(), "too large");
        assert!(allocator.take(layout(8, 128)).is_null(), "another alignment");
        let some = (0..RESERVE / 4096).filter(|_| !allocator.take(layout(4096, 8)).is_null());
        assert_eq!(some.count(), RESERVE / 4096 - 1);
        assert!(allocator.take(layout(4096, 8)).is_null(), "used up");
    }

    #[test]
    fn what_is_in_the_reserve_may_grow_and_goes_nowhere() {
        let allocator = Box::leak(Box::new(WithReserve::new()));
        let layout = Layout::from_size_align(3, 1).unwrap();
        let small = allocator.take(layout);
        // SAFETY: three bytes from the reserve, then five of the system's.
        unsafe {
            ptr::copy_nonoverlapping(b"abc".as_ptr(), small, 3);
            let grown = allocator.realloc(small, layout, 5);
            assert!(!allocator.owns(grown));
            assert_eq!(std::slice::from_raw_parts(grown, 3), b"abc");
            allocator.dealloc(grown, Layout::from_size_align(5, 1).unwrap());
            allocator.dealloc(small, layout);
        }
    }
}
