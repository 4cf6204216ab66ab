//! Lists of numbers: zeros that may be too many for the memory, and parts one after the other.

use crate::native::LibtorchError;
use crate::native::aligned_memory::AlignedFloats;

/// Takes the first elements off a list; all of them if it is shorter.
pub fn split_off<'a>(list: &mut &'a mut [f32], size: usize) -> &'a mut [f32] {
    let all = std::mem::take(list);
    let (taken, rest) = all.split_at_mut(size.min(all.len()));
    *list = rest;
    taken
}

/// Returns `count` zeros, or an error if there is no memory for them.
pub fn zeros(count: usize) -> Result<AlignedFloats, LibtorchError> {
    let mut list = AlignedFloats::with_capacity(count).map_err(LibtorchError::memory)?;
    list.resize(count);
    Ok(list)
}
