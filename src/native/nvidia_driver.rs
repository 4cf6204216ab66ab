//! Queries NVIDIA's driver directly for the GPUs present, regardless of whether libtorch can use them.

use std::ffi::{CStr, c_char, c_int};

use libloading::Library;

/// A GPU as the driver describes it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Gpu {
    /// The product's name, such as "NVIDIA H200".
    pub name: String,
    /// Bytes of device memory.
    pub memory_bytes: u64,
}

/// The state of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The driver's library is not installed.
    Missing,
    /// It is installed but fails to start; CUDA's error number.
    Failed(i32),
    /// It works.
    Present {
        /// The newest CUDA version that the driver supports, such as (13, 0).
        cuda: (i32, i32),
        /// The visible GPUs, in CUDA's order.
        gpus: Vec<Gpu>,
    },
}

/// Queries the driver (`libcuda`, the CUDA driver API) for its version and GPUs. Safe to call before libtorch
/// first uses CUDA.
pub fn query() -> Driver {
    // SAFETY: NVIDIA's library; loading it runs only its own initializers.
    let Ok(library) = (unsafe { Library::new("libcuda.so.1") }) else {
        return Driver::Missing;
    };
    let answer = ask(&library).unwrap_or_else(Driver::Failed);
    // An initialized driver must stay loaded, because libtorch's CUDA half uses it, too.
    std::mem::forget(library);
    answer
}

type NameOfDevice = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;

fn ask(library: &Library) -> Result<Driver, i32> {
    // SAFETY (all calls): signatures of the CUDA driver API, "Initialization" and "Device
    // Management"; every pointer is to a live local of the stated type.
    let value = |name: &[u8]| -> Result<c_int, i32> {
        let mut value = 0;
        type Query = unsafe extern "C" fn(*mut c_int) -> c_int;
        status(unsafe { symbol::<Query>(library, name)?(&mut value) })?;
        Ok(value)
    };
    status(unsafe { symbol::<unsafe extern "C" fn(u32) -> c_int>(library, b"cuInit\0")?(0) })?;
    let version = value(b"cuDriverGetVersion\0")?;
    let count = value(b"cuDeviceGetCount\0")?;
    let name_of = symbol::<NameOfDevice>(library, b"cuDeviceGetName\0")?;
    type Memory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
    let memory_of = symbol::<Memory>(library, b"cuDeviceTotalMem_v2\0")?;
    type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    let get = symbol::<Get>(library, b"cuDeviceGet\0")?;

    let mut gpus = Vec::new();
    for index in 0..count {
        let (mut device, mut bytes) = (0, 0usize);
        let mut name = [0 as c_char; 256];
        status(unsafe { get(&mut device, index) })?;
        // One byte less than the array, so that the name always ends in NUL.
        status(unsafe { name_of(name.as_mut_ptr(), 255, device) })?;
        status(unsafe { memory_of(&mut bytes, device) })?;
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        gpus.push(Gpu { name, memory_bytes: bytes as u64 });
    }
    Ok(Driver::Present { cuda: (version / 1000, version % 1000 / 10), gpus })
}

fn symbol<T: Copy>(library: &Library, name: &[u8]) -> Result<T, i32> {
    // 500 is CUDA_ERROR_NOT_FOUND. SAFETY: see the callers, which state the signature.
    unsafe { library.get::<T>(name) }.map(|symbol| *symbol).map_err(|_| 500)
}

fn status(code: c_int) -> Result<(), i32> {
    if code == 0 { Ok(()) } else { Err(code) }
}
