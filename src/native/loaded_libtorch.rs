//! The libtorch that this process has loaded: its location, its version, its CUDA half.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
#[cfg(target_os = "linux")]
use std::{env, io, os::unix::process::CommandExt, process::Command};

use super::{LibtorchError, ffi, take_string};

/// Returns the version of libtorch that this binary was compiled for, such as `2.13.0`.
pub fn expected_version() -> &'static str {
    // SAFETY: a string constant of csrc/loaded_libtorch.cpp.
    let text = unsafe { CStr::from_ptr(ffi::seqfit_built_against()) };
    text.to_str().unwrap_or("unknown")
}

/// Returns the version of the libtorch that was loaded, or `None` if it does not report one.
pub fn loaded_version() -> Option<String> {
    loaded_abi().map(describe_abi)
}

/// The loaded libtorch has another version than the one that this program was compiled for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this seqfit needs libtorch {expected}, and {found} was loaded from {folder}: point \
     LD_LIBRARY_PATH at the right one, or build seqfit against this one (LIBTORCH=… cargo build)",
    folder = .folder.display()
)]
pub struct VersionError {
    /// The version compiled for.
    pub expected: &'static str,
    /// The version loaded.
    pub found: String,
    /// The folder it was loaded from.
    pub folder: PathBuf,
}

/// Refuses a libtorch other than the one compiled for. Its functions have the same names, and the first call
/// into a different binary layout ends in a segmentation fault.
pub fn check_version() -> Result<(), VersionError> {
    // SAFETY: returns a constant.
    let expected = unsafe { ffi::seqfit_built_abi() };
    // Patch releases keep the layout.
    match loaded_abi() {
        Some(loaded) if loaded >> 48 != expected >> 48 => Err(VersionError {
            expected: expected_version(),
            found: describe_abi(loaded),
            folder: folder().unwrap_or_else(|| PathBuf::from("an unknown folder")),
        }),
        _ => Ok(()),
    }
}

/// Returns `TORCH_ABI_VERSION` of the loaded library: major, minor and patch in the upper three bytes.
fn loaded_abi() -> Option<u64> {
    type AbiVersion = unsafe extern "C" fn() -> u64;
    // Looked up by name, not linked, because an older libtorch may lack it; the version is then unknown.
    let process = libloading::os::unix::Library::this();
    // SAFETY: the function takes no arguments, returns a constant and is part of libtorch's stable C
    // interface (torch/csrc/inductor/aoti_torch/c/shim.h).
    let abi = unsafe {
        let function = process.get::<AbiVersion>(b"aoti_torch_abi_version\0").ok()?;
        function()
    };
    Some(abi)
}

/// libtorch is needed, and was not found.
#[derive(Debug, thiserror::Error)]
#[error(
    "this command needs libtorch {}, and its {LIBRARY} was not found: put the folder of its libraries into \
     LD_LIBRARY_PATH, or use an archive or a wheel that has it",
    expected_version()
)]
pub struct MissingError;

/// The library of libtorch's functions.
const LIBRARY: &str = "libtorch_cpu.so";
/// The environment variable that names libraries to load before the others.
#[cfg(target_os = "linux")]
const PRELOAD: &str = "LD_PRELOAD";

/// Makes sure that libtorch is loaded. The program in an archive or a wheel is not linked against it
/// (`scripts/relocatable_program.py`), so that what needs no libtorch starts at once. It is started again here with the
/// same arguments, and with libtorch; in the new program this function returns. Opening libtorch in this process would
/// not do: the references to its variables are resolved when the program is loaded.
///
/// # Errors
/// libtorch is not where the dynamic loader looks for it.
#[cfg(target_os = "linux")]
pub fn ensure_loaded() -> Result<(), MissingError> {
    let preload = env::var(PRELOAD).unwrap_or_default();
    let of_user = preload.strip_prefix(LIBRARY);
    if folder().is_none() {
        let again = || -> io::Result<io::Error> {
            let mut given = env::args_os();
            let mut command = Command::new(env::current_exe()?);
            command.arg0(given.next().unwrap_or_default()).args(given);
            let libraries = format!("{LIBRARY}:{preload}");
            Ok(command.env(PRELOAD, libraries.trim_end_matches(':')).exec())
        };
        if of_user.is_none() {
            // Returns only if the program cannot be started.
            let _ = again();
        }
        return Err(MissingError);
    }
    if let Some(rest) = of_user {
        // SAFETY: called before other threads are started.
        unsafe { env::set_var(PRELOAD, rest.trim_start_matches(':')) };
    }
    Ok(())
}

/// Makes sure that libtorch is loaded, which it is wherever programs are linked against it.
///
/// # Errors
/// None here.
#[cfg(not(target_os = "linux"))]
pub fn ensure_loaded() -> Result<(), MissingError> {
    Ok(())
}

fn describe_abi(abi: u64) -> String {
    format!("{}.{}.{}", abi >> 56, abi >> 48 & 0xff, abi >> 40 & 0xff)
}

/// Returns the folder that libtorch was loaded from, or `None` if it is not loaded.
pub fn folder() -> Option<PathBuf> {
    // SAFETY: returns null or a string whose ownership passes to us.
    let path = take_string(unsafe { ffi::seqfit_library_path() })?;
    Path::new(&path).canonicalize().ok()?.parent().map(Path::to_path_buf)
}

/// Returns the path of libtorch's CUDA half, if the libtorch folder has one.
pub fn cuda_library() -> Option<PathBuf> {
    folder().map(|folder| folder.join("libtorch_cuda.so")).filter(|path| path.exists())
}

/// Loads libtorch's CUDA half, once. The binary is not linked against it (the linker would drop it, because
/// none of our code calls it); opening it registers its kernels. This must happen before the first query
/// about CUDA, because libtorch caches the result "none".
///
/// # Errors
/// The dynamic loader's error, if the library exists but cannot be loaded.
pub fn open_cuda() -> Result<bool, LibtorchError> {
    static OPENED: OnceLock<Result<bool, LibtorchError>> = OnceLock::new();
    OPENED
        .get_or_init(|| {
            use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
            let Some(path) = cuda_library() else {
                return Ok(false);
            };
            // SAFETY: the initializers are libtorch's own, of the version that was just checked.
            match unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) } {
                Ok(library) => {
                    // Its kernels stay registered until the process ends.
                    std::mem::forget(library);
                    Ok(true)
                }
                Err(error) => Err(LibtorchError::new(&error.to_string())),
            }
        })
        .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_the_libtorch_it_was_built_for() {
        assert_eq!(loaded_version().as_deref(), Some(expected_version()));
        assert_eq!(check_version(), Ok(()));
        assert!(folder().is_some_and(|folder| folder.is_dir()));
    }

    #[test]
    fn abi_numbers_read_as_versions() {
        assert_eq!(describe_abi(0x020d_0000_0000_0000), "2.13.0");
        assert_eq!(describe_abi(0x020b_0100_0000_0000), "2.11.1");
    }
}
