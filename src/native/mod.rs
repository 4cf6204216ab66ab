//! Safe wrappers over `csrc/` and the dynamic loader: the only place with `unsafe`.
//!
//! This module contains what libtorch has and tch does not bind, with one file for each C++ file, plus other
//! code that needs `unsafe`. It does not depend on layers, training or seqfit's own files.

pub(crate) mod aligned_memory;
pub(crate) mod convolution;
pub(crate) mod cuda_graph;
pub(crate) mod dense_kernels;
mod error;
mod ffi;
pub(crate) mod fused_optimizers;
pub(crate) mod gemm;
pub(crate) mod loaded_libtorch;
pub(crate) mod matmul_precision;
#[cfg(feature = "mpi")]
pub(crate) mod mpi;
pub(crate) mod nvidia_driver;
pub(crate) mod nvrtc;
pub(crate) mod prefetch;
#[cfg(target_os = "linux")]
pub(crate) mod process;
pub(crate) mod random_tensors;
pub(crate) mod script_module;
pub(crate) mod tensor_buffer;
pub(crate) mod thread_pool;

use std::ffi::{CStr, CString, c_char};

pub use error::LibtorchError;

/// Returns an empty list with capacity for `count` elements or, if there is no memory for them, the number of
/// bytes that they need.
pub(crate) fn reserved<T>(count: usize) -> Result<Vec<T>, usize> {
    let mut list = Vec::new();
    match list.try_reserve_exact(count) {
        Ok(()) => Ok(list),
        Err(_) => Err(count.saturating_mul(size_of::<T>())),
    }
}

/// Takes over a message that a call into `csrc/` returned; null means success.
fn check(message: *mut c_char) -> Result<(), LibtorchError> {
    match take_string(message) {
        None => Ok(()),
        Some(message) => Err(LibtorchError::new(&message)),
    }
}

/// Copies and frees a string that `csrc/` allocated.
fn take_string(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: non-null strings from csrc/ are NUL-terminated, owned by us, and allocated by malloc.
    let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
    unsafe { ffi::seqfit_free(text) };
    Some(copy)
}

fn c_string(text: &str) -> Result<CString, LibtorchError> {
    Ok(CString::new(text)?)
}
