//! Safe wrappers over `csrc/` and the dynamic loader: the only place with `unsafe`.
//!
//! This module contains what libtorch has and tch does not bind, with one file for each C++ file, plus other
//! code that needs `unsafe`. It does not depend on layers, training or seqfit's own files.

pub(crate) mod buffer;
pub(crate) mod dense_kernels;
pub(crate) mod driver;
mod ffi;
pub(crate) mod gemm;
pub(crate) mod graph;
pub(crate) mod kernels;
pub(crate) mod library;
pub(crate) mod module;
#[cfg(feature = "mpi")]
pub(crate) mod mpi;
pub(crate) mod optimizer;
pub(crate) mod precision;
pub(crate) mod random;
pub(crate) mod team;

use std::ffi::{CStr, CString, c_char};

/// An error from libtorch, cut to its first line: its messages continue with a backtrace or with the content
/// of a whole tensor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct LibtorchError(String, Cause);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Memory,
    Other,
}

impl LibtorchError {
    fn new(message: &str) -> Self {
        let line = message.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message");
        let memory = ["can't allocate memory", "out of memory", "not enough memory", "bad_alloc"];
        if memory.iter().any(|words| line.contains(words)) {
            let cure = "use fewer units or a smaller batch";
            return Self(format!("{}: {cure}", shortage(line)), Cause::Memory);
        }
        let mut end = line.len().min(300);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        Self(line[..end].trim().to_owned(), Cause::Other)
    }

    /// Creates an error for something other than libtorch that has no error type in this module.
    pub(crate) fn other(message: &str) -> Self {
        Self::new(message)
    }

    /// Creates the error for a thread outside libtorch that could not be started.
    pub(crate) fn thread(error: &std::io::Error) -> Self {
        Self::new(&format!("a thread cannot be started: {error}"))
    }

    /// Creates the error for an allocation outside libtorch that failed.
    pub(crate) fn memory(bytes: usize) -> Self {
        Self::new(&format!("not enough memory to allocate {bytes} bytes"))
    }

    /// Returns whether the cause was too little memory.
    pub fn is_out_of_memory(&self) -> bool {
        self.1 == Cause::Memory
    }
}

/// Shortens "DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes. Error code 12 …" and
/// "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …".
fn shortage(message: &str) -> String {
    // The CPU's message contains "allocate" twice, CUDA's once; the amount follows the one before a number.
    let amount = message.split("allocate ").skip(1).find_map(|after| {
        let words: Vec<&str> = after.split_whitespace().take(2).collect();
        let number = words.first()?.starts_with(|c: char| c.is_ascii_digit());
        number.then(|| words.join(" ").trim_end_matches('.').to_owned())
    });
    let whose = if message.contains("CUDA") { "GPU " } else { "" };
    match amount {
        Some(amount) => format!("not enough {whose}memory for {amount} more"),
        None => format!("not enough {whose}memory"),
    }
}

impl From<tch::TchError> for LibtorchError {
    fn from(error: tch::TchError) -> Self {
        match error {
            tch::TchError::Torch(message) => Self::new(&message),
            other => Self::new(&other.to_string()),
        }
    }
}

impl From<std::ffi::NulError> for LibtorchError {
    fn from(_: std::ffi::NulError) -> Self {
        Self::new("a name or path must not hold a NUL character")
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_to_their_first_line() {
        assert_eq!(LibtorchError::new("\nshape mismatch\nframe #0: …").0, "shape mismatch");
        assert_eq!(LibtorchError::new(&"ä".repeat(1000)).0.len(), 300);
    }

    #[test]
    fn out_of_memory_messages_are_short() {
        let cpu = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate \
                   memory: you tried to allocate 1600 bytes. Error code 12 (Cannot allocate memory)";
        let cuda =
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 4";
        let cure = ": use fewer units or a smaller batch";
        for (message, said) in [
            (cpu, "not enough memory for 1600 bytes more"),
            (cuda, "not enough GPU memory for 2.00 GiB more"),
            ("out of memory", "not enough memory"),
        ] {
            assert_eq!(LibtorchError::new(message).0, format!("{said}{cure}"));
        }
    }
}
