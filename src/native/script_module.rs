//! Builds `torch.jit` modules piece by piece: with real parameters and a real `forward`, which tracing cannot
//! produce.

use std::ffi::{CString, c_char, c_void};
use std::ptr::null_mut;

use tch::Tensor;

use super::{LibtorchError, c_string, check, ffi, reserved};

/// A module under construction.
pub struct Module(*mut ffi::Module);

impl Module {
    /// Creates an empty module of a class called `name`.
    pub fn new(name: &str) -> Result<Self, LibtorchError> {
        let mut module = null_mut();
        // SAFETY (here and below): live pointers of the declared types; strings end in NUL.
        check(unsafe { ffi::seqfit_module_new(c_string(name)?.as_ptr(), &mut module) })?;
        if module.is_null() {
            return Err(LibtorchError::new("no module was created"));
        }
        Ok(Self(module))
    }

    /// Adds a trainable parameter: a copy of `value` on the CPU.
    pub fn parameter(&mut self, name: &str, value: &Tensor) -> Result<(), LibtorchError> {
        let name = c_string(name)?;
        check(unsafe { ffi::seqfit_module_parameter(self.0, name.as_ptr(), value.as_ptr()) })
    }

    /// Adds a tensor that is not trained: a copy of `value` on the CPU.
    pub fn buffer(&mut self, name: &str, value: &Tensor) -> Result<(), LibtorchError> {
        let name = c_string(name)?;
        check(unsafe { ffi::seqfit_module_buffer(self.0, name.as_ptr(), value.as_ptr()) })
    }

    /// Adds a finished module under `name`.
    pub fn child(&mut self, name: &str, child: &Module) -> Result<(), LibtorchError> {
        let name = c_string(name)?;
        check(unsafe { ffi::seqfit_module_child(self.0, name.as_ptr(), child.0) })
    }

    /// Adds an attribute of type `List[int]`.
    pub fn ints(&mut self, name: &str, values: &[i64]) -> Result<(), LibtorchError> {
        let name = c_string(name)?;
        check(unsafe {
            ffi::seqfit_module_ints(self.0, name.as_ptr(), values.as_ptr(), values.len())
        })
    }

    /// Adds an attribute of type `List[str]`.
    pub fn strings(&mut self, name: &str, values: &[String]) -> Result<(), LibtorchError> {
        let name = c_string(name)?;
        let values = values.iter().map(|v| c_string(v)).collect::<Result<Vec<CString>, _>>()?;
        let pointers: Vec<_> = values.iter().map(|value| value.as_ptr()).collect();
        check(unsafe {
            ffi::seqfit_module_strings(self.0, name.as_ptr(), pointers.as_ptr(), pointers.len())
        })
    }

    /// Adds an attribute of type `float`.
    pub fn float(&mut self, name: &str, value: f64) -> Result<(), LibtorchError> {
        let name = c_string(name)?;
        check(unsafe { ffi::seqfit_module_float(self.0, name.as_ptr(), value) })
    }

    /// Compiles methods from TorchScript source. Everything they use must have been added before.
    pub fn define(&mut self, source: &str) -> Result<(), LibtorchError> {
        let source = c_string(source)?;
        check(unsafe { ffi::seqfit_module_define(self.0, source.as_ptr()) })
    }

    /// Returns the bytes of the archive that `torch.jit.load` reads, with one extra file inside. The same
    /// module gives the same bytes.
    pub fn archive(&self, extra: (&str, &str)) -> Result<Vec<u8>, LibtorchError> {
        #[derive(Default)]
        struct ArchiveBytes {
            bytes: Vec<u8>,
            missing: Option<usize>,
        }
        extern "C" fn take(context: *mut c_void, data: *const c_char, n: usize) {
            // SAFETY: the context passed below, and n live bytes owned by the C++ side.
            let (taken, data) = unsafe {
                (
                    &mut *context.cast::<ArchiveBytes>(),
                    std::slice::from_raw_parts(data.cast::<u8>(), n),
                )
            };
            match reserved(n) {
                Ok(bytes) => {
                    taken.bytes = bytes;
                    taken.bytes.extend_from_slice(data);
                }
                Err(missing) => taken.missing = Some(missing),
            }
        }
        let (name, content) = (c_string(extra.0)?, c_string(extra.1)?);
        let mut taken = ArchiveBytes::default();
        let context = (&raw mut taken).cast();
        check(unsafe {
            ffi::seqfit_module_archive(self.0, name.as_ptr(), content.as_ptr(), take, context)
        })?;
        match taken.missing {
            None => Ok(taken.bytes),
            Some(bytes) => Err(LibtorchError::memory(bytes)),
        }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // An error in a destructor cannot be handled. SAFETY: owned by us and freed once.
        let _ = check(unsafe { ffi::seqfit_module_free(self.0) });
    }
}
