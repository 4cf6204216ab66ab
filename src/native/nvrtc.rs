//! Our own CUDA kernels, compiled at run time by the NVRTC that ships with libtorch's CUDA half and launched
//! through NVIDIA's driver, so that building seqfit needs no part of CUDA.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::path::Path;
use std::ptr::null_mut;

use libloading::Library;

use super::{LibtorchError, c_string, cuda_graph, loaded_libtorch};

/// Kernels compiled for one GPU.
#[derive(Debug)]
pub struct Program {
    driver: Library,
    device: usize,
    module: *mut c_void,
}

/// One kernel of a program. It lives as long as its program.
#[derive(Clone, Copy, Debug)]
pub struct Kernel(*mut c_void);

/// The capabilities of a GPU.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// The compute capability, such as (9, 0).
    pub version: (i32, i32),
    /// The number of multiprocessors.
    pub processors: usize,
}

fn error(what: &str, code: c_int) -> LibtorchError {
    let memory = if code == 2 { ": out of memory on the GPU (CUDA)" } else { "" };
    LibtorchError::new(&format!("{what} failed with error {code}{memory}"))
}

fn load(name: &Path) -> Result<Library, LibtorchError> {
    // SAFETY: NVIDIA's and libtorch's libraries, which run their own initializers.
    unsafe { Library::new(name) }.map_err(|error| LibtorchError::new(&error.to_string()))
}

/// Looks up a function of `library`, whose signature the caller states.
fn find<T: Copy>(library: &Library, name: &str) -> Result<T, LibtorchError> {
    // SAFETY: the signatures below are taken from the documentation of NVRTC and the driver.
    let found = unsafe { library.get::<T>(c_string(name)?.as_bytes_with_nul()) };
    found.map(|found| *found).map_err(|error| LibtorchError::new(&error.to_string()))
}

/// Calls a function that returns an error code, 0 for success.
macro_rules! call {
    ($library:expr, $name:literal, ($($kind:ty),*), ($($argument:expr),*)) => {{
        let function: unsafe extern "C" fn($($kind),*) -> c_int = find($library, $name)?;
        // SAFETY: live pointers of the stated types.
        match unsafe { function($($argument),*) } {
            0 => Ok(()),
            code => Err(error($name, code)),
        }
    }};
}

/// Returns the capabilities of the GPU with this index. CUDA is already in use.
pub fn capability(device: usize) -> Result<Capability, LibtorchError> {
    let driver = load(Path::new("libcuda.so.1"))?;
    let mut handle = 0;
    let number = c_int::try_from(device).unwrap_or(c_int::MAX);
    call!(&driver, "cuDeviceGet", (*mut c_int, c_int), (&mut handle, number))?;
    let attribute = |which: c_int| -> Result<c_int, LibtorchError> {
        let mut value = 0;
        call!(
            &driver,
            "cuDeviceGetAttribute",
            (*mut c_int, c_int, c_int),
            (&mut value, which, handle)
        )?;
        Ok(value)
    };
    // CU_DEVICE_ATTRIBUTE_…: COMPUTE_CAPABILITY_MAJOR, …_MINOR, MULTIPROCESSOR_COUNT.
    let version = (attribute(75)?, attribute(76)?);
    let processors = usize::try_from(attribute(16)?).unwrap_or(1);
    Ok(Capability { version, processors })
}

impl Program {
    /// Compiles `source` for the GPU with this index, with these macros defined.
    ///
    /// # Errors
    /// NVRTC is missing next to libtorch, or the first line of its compiler output.
    pub fn compile(
        device: usize,
        source: &str,
        macros: &[(&str, usize)],
    ) -> Result<Self, LibtorchError> {
        let (major, minor) = capability(device)?.version;
        let mut options = vec![format!("--gpu-architecture=sm_{major}{minor}")];
        options.extend(macros.iter().map(|(name, value)| format!("-D{name}={value}")));
        let image = compile(source, &options)?;
        let driver = load(Path::new("libcuda.so.1"))?;
        let mut module = null_mut();
        call!(
            &driver,
            "cuModuleLoadData",
            (*mut *mut c_void, *const c_void),
            (&mut module, image.as_ptr().cast())
        )?;
        Ok(Self { driver, device, module })
    }

    /// Returns the kernel with this name.
    pub fn kernel(&self, name: &str) -> Result<Kernel, LibtorchError> {
        let (name, mut kernel) = (c_string(name)?, null_mut());
        call!(
            &self.driver,
            "cuModuleGetFunction",
            (*mut *mut c_void, *mut c_void, *const c_char),
            (&mut kernel, self.module, name.as_ptr())
        )?;
        Ok(Kernel(kernel))
    }

    /// Launches a kernel of this program on this thread's stream: `blocks` blocks of `threads` threads, each
    /// block with this number of bytes of shared memory.
    ///
    /// # Safety
    /// The kernel takes one argument, whose type matches this one bit for bit, and the memory that it points
    /// to stays valid until the stream has executed the kernel.
    pub unsafe fn launch<T>(
        &self,
        kernel: Kernel,
        (blocks, threads, shared): (usize, usize, usize),
        argument: &T,
    ) -> Result<(), LibtorchError> {
        let size = |size: usize| c_uint::try_from(size).unwrap_or(c_uint::MAX);
        let mut arguments = [std::ptr::from_ref(argument).cast_mut().cast::<c_void>()];
        let stream = cuda_graph::current_stream(self.device)?;
        call!(
            &self.driver,
            "cuLaunchKernel",
            (
                *mut c_void,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                c_uint,
                *mut c_void,
                *mut *mut c_void,
                *mut *mut c_void
            ),
            (
                kernel.0,
                size(blocks),
                1,
                1,
                size(threads),
                1,
                1,
                size(shared),
                stream,
                arguments.as_mut_ptr(),
                null_mut()
            )
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let unload = || call!(&self.driver, "cuModuleUnload", (*mut c_void), (self.module));
        let _ = unload();
    }
}

/// Compiles `source` to machine code.
fn compile(source: &str, options: &[String]) -> Result<Vec<u8>, LibtorchError> {
    // libtorch's own interface to the NVRTC that it ships with, wherever that is located.
    let folder = loaded_libtorch::folder().unwrap_or_default();
    let nvrtc = load(&folder.join("libcaffe2_nvrtc.so"))?;
    let source = c_string(source)?;
    let options = options.iter().map(|o| c_string(o)).collect::<Result<Vec<CString>, _>>()?;
    let options: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
    let mut program = null_mut::<c_void>();
    call!(
        &nvrtc,
        "nvrtcCreateProgram",
        (
            *mut *mut c_void,
            *const c_char,
            *const c_char,
            c_int,
            *const *const c_char,
            *const *const c_char
        ),
        (
            &mut program,
            source.as_ptr(),
            c"seqfit.cu".as_ptr(),
            0,
            std::ptr::null(),
            std::ptr::null()
        )
    )?;
    let compiled = call!(
        &nvrtc,
        "nvrtcCompileProgram",
        (*mut c_void, c_int, *const *const c_char),
        (program, options.len() as c_int, options.as_ptr())
    );
    let text = |size_of: &str, get: &str| -> Result<Vec<u8>, LibtorchError> {
        type Size = unsafe extern "C" fn(*mut c_void, *mut usize) -> c_int;
        type Get = unsafe extern "C" fn(*mut c_void, *mut c_char) -> c_int;
        let (size_function, get_function): (Size, Get) =
            (find(&nvrtc, size_of)?, find(&nvrtc, get)?);
        let mut size = 0;
        // SAFETY: the buffer has the number of bytes that the library reported.
        let code = unsafe { size_function(program, &mut size) };
        let mut bytes = vec![0u8; size];
        let got = unsafe { get_function(program, bytes.as_mut_ptr().cast()) };
        if code != 0 || got != 0 {
            return Err(error(get, code.max(got)));
        }
        Ok(bytes)
    };
    let image = match compiled {
        Ok(()) => text("nvrtcGetCUBINSize", "nvrtcGetCUBIN"),
        Err(failed) => {
            let log = text("nvrtcGetProgramLogSize", "nvrtcGetProgramLog").unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let line = log.lines().find(|line| line.contains("error"));
            Err(line.map_or(failed, LibtorchError::new))
        }
    };
    call!(&nvrtc, "nvrtcDestroyProgram", (*mut *mut c_void), (&mut program))?;
    image
}
