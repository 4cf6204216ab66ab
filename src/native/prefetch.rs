//! Hints to the processor about memory that is read soon.

/// The number of bytes that one hint asks for: a cache line.
const LINE: usize = 64;
/// The number of lines that are asked for; the processor's own prefetcher sees what follows.
const MOST_LINES: usize = 16;

/// Asks for the start of `values`, so that it is in the cache when it is read. The samples of a shuffled epoch lie all
/// over the memory, and the processor cannot guess the next one: copying them took 14 % of a training on Adult (108
/// columns, 100 units). Does nothing where there is no such instruction.
pub fn prefetch<T>(values: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let a_line = (LINE / size_of::<T>().max(1)).max(1);
        for line in values.chunks(a_line).take(MOST_LINES) {
            // SAFETY: a hint reads nothing, at any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, LINE, MOST_LINES);
}
