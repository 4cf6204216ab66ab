//! Memory for saying that there is none left.
//!
//! libtorch's large tensors and our own large lists fail with an error that names what is missing. The
//! few bytes of that very message would end the process without a word, if they were not there: this
//! allocator keeps some for them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Only what is smaller gets some of the reserve: whoever asks for more handles a refusal.
const SMALL: usize = 1 << 16;
/// Large enough for the system to take it back at once. Nobody writes to it, so it costs addresses and
/// no memory.
const RESERVE: Layout = match Layout::from_size_align(8 << 20, 4096) {
    Ok(layout) => layout,
    Err(_) => panic!("a size and a power of two"),
};

/// The system's allocator, with a reserve for small requests.
pub struct WithReserve(AtomicPtr<u8>);

impl WithReserve {
    /// Without a reserve yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Takes the reserve, once.
    pub fn fill(&self) {
        // SAFETY: the layout's size is not 0; `give` frees it with the same layout.
        let reserve = unsafe { System.alloc(RESERVE) };
        let empty = ptr::null_mut();
        let kept =
            self.0.compare_exchange(empty, reserve, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if !kept && !reserve.is_null() {
            // SAFETY: allocated above, and nobody else has seen it.
            unsafe { System.dealloc(reserve, RESERVE) };
        }
    }

    /// Gives the reserve back to the system; false if there is none any more, or not for so much.
    fn give(&self, size: usize) -> bool {
        if size >= SMALL {
            return false;
        }
        let reserve = self.0.swap(ptr::null_mut(), Ordering::AcqRel);
        if !reserve.is_null() {
            // SAFETY: from `fill`, and ours alone after the swap.
            unsafe { System.dealloc(reserve, RESERVE) };
        }
        !reserve.is_null()
    }

    fn retried(&self, size: usize, request: impl Fn() -> *mut u8) -> *mut u8 {
        match request() {
            found if found.is_null() && self.give(size) => request(),
            found => found,
        }
    }
}

// SAFETY: everything is the system allocator's; a request is repeated only after it was refused.
unsafe impl GlobalAlloc for WithReserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY (here and below): the caller keeps the same contract.
        self.retried(layout.size(), || unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.retried(layout.size(), || unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // A refused one leaves what was there.
        self.retried(size, || unsafe { System.realloc(pointer, layout, size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_reserve_is_for_small_requests_and_given_once() {
        let allocator = WithReserve::new();
        let mut byte = 0;
        let some: *mut u8 = &mut byte;
        let tries = Cell::new(0);
        // Refuses the first time.
        let request = || {
            tries.set(tries.get() + 1);
            if tries.get() % 2 == 1 { ptr::null_mut() } else { some }
        };
        assert!(allocator.retried(1, request).is_null(), "no reserve");
        tries.set(0);
        allocator.fill();
        allocator.fill();
        assert!(allocator.retried(SMALL, request).is_null() && tries.get() == 1, "too large");
        tries.set(0);
        assert_eq!(allocator.retried(1, request), some);
        assert_eq!(tries.get(), 2);
        tries.set(0);
        assert!(allocator.retried(1, request).is_null(), "given once");
    }
}
