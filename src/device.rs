//! Where tensors live and are computed: `"cpu"`, `"cuda"`, `"cuda:1"`.
//!
//! Asking for CUDA where there is none is an error that says why, never a silent fall-back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub use tch::Device;

use crate::native::driver::{self, Driver};
use crate::native::{LibtorchError, library};

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The text is not the name of a device.
    #[error("a device is \"cpu\", \"cuda\" or \"cuda:N\", found {0:?}")]
    Unknown(String),
    /// The libtorch in use has no CUDA half.
    #[error(
        "CUDA was asked for, and the libtorch in {folder} is built for the CPU only: run \
         scripts/fetch_libtorch.sh --cuda, or train on the CPU (leave --cuda out)"
    )]
    CpuOnlyLibtorch {
        /// The folder that libtorch was loaded from.
        folder: String,
    },
    /// libtorch's CUDA half is there and cannot be loaded.
    #[error(
        "CUDA was asked for, and libtorch_cuda cannot be loaded ({0}): run \
         scripts/fetch_libtorch.sh --cuda again, which brings the NVIDIA libraries it needs"
    )]
    Unloadable(LibtorchError),
    /// There is no NVIDIA driver.
    #[error(
        "CUDA was asked for, and no NVIDIA driver (libcuda.so.1) is installed: install the driver \
         (in a container: start it with --gpus all), or train on the CPU (leave --cuda out)"
    )]
    NoDriver,
    /// The driver is installed and does not work.
    #[error(
        "CUDA was asked for, and the NVIDIA driver fails with CUDA error {0}: see what nvidia-smi \
         says; error 100 means no GPU is visible, 803 or 804 a driver that does not match its \
         kernel module"
    )]
    DriverFailed(i32),
    /// The driver works and libtorch finds no device with it.
    #[error(
        "CUDA was asked for, and libtorch finds no usable GPU (the driver shows {gpus} and serves \
         CUDA {cuda}): check CUDA_VISIBLE_DEVICES and that the driver is as new as libtorch's CUDA"
    )]
    NoGpu {
        /// GPUs that the driver shows.
        gpus: usize,
        /// The newest CUDA version that the driver serves.
        cuda: String,
    },
    /// The GPU's number is too high.
    #[error("cuda:{index} was asked for, and there are {count} GPUs: use cuda:0 to cuda:{}", .count - 1)]
    NoSuchGpu {
        /// The number asked for.
        index: usize,
        /// How many GPUs there are.
        count: usize,
    },
    /// CUDA was asked for after libtorch had settled without it.
    #[error(
        "CUDA must be asked for before the process first trains on the CPU: call \
         seqfit::device::require(Device::Cuda(0)) at the start"
    )]
    TooLate,
    /// seqfit does not run on this kind of device.
    #[error("seqfit runs on the CPU and on CUDA, found {0}")]
    Unsupported(String),
}

/// Reads a device's name.
///
/// ```
/// use seqfit::{Device, device};
/// assert_eq!(device::parse("cuda:1")?, Device::Cuda(1));
/// assert!(device::parse("gpu").is_err());
/// # Ok::<(), seqfit::device::DeviceError>(())
/// ```
///
/// # Errors
/// [`DeviceError::Unknown`] for any other text. Whether the device is there is for [`require`].
pub fn parse(text: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown(text.to_owned());
    match text {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Ok(Device::Cuda(0)),
        _ => {
            let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
            // Only digits: `parse` alone would take "+1".
            if !index.bytes().all(|b| b.is_ascii_digit()) {
                return Err(unknown());
            }
            index.parse().map(Device::Cuda).map_err(|_| unknown())
        }
    }
}

/// The name that [`parse`] reads: `cpu`, `cuda:0`.
pub fn name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Makes sure that `device` can be used, loading libtorch's CUDA half when CUDA is asked for.
///
/// # Errors
/// The reason why it cannot: see [`DeviceError`].
pub fn require(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        Device::Cuda(index) => require_cuda(index),
        other => Err(DeviceError::Unsupported(name(other))),
    }
}

/// The processes on this machine that work together, and which of them this one is.
static PROCESSES: AtomicUsize = AtomicUsize::new(1);
static NUMBER: AtomicUsize = AtomicUsize::new(0);
/// Those that this one's processors are divided between.
static SHARERS: AtomicUsize = AtomicUsize::new(1);

/// Processors that this process may use.
pub fn all_threads() -> usize {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    (all / SHARERS.load(Ordering::Relaxed)).max(1)
}

/// Divides this machine between so many processes, of which this is the one of that number, from 0: each has a
/// GPU of its own, as far as there are enough ([`own`]); and an equal part of its processors, which so many of
/// them may use, as threads of two processes on one processor wait for each other at every operation.
pub fn share_machine(number: usize, processes: usize, sharers: usize) {
    NUMBER.store(number, Ordering::Relaxed);
    PROCESSES.store(processes.max(1), Ordering::Relaxed);
    SHARERS.store(sharers.max(1), Ordering::Relaxed);
    set_threads(all_threads());
}

/// This process's device, where `asked` is: the GPU of its number, if it [shares](share_machine) the machine.
///
/// # Errors
/// As [`require`], where there is no GPU.
pub fn own(asked: Device) -> Result<Device, DeviceError> {
    if !asked.is_cuda() || PROCESSES.load(Ordering::Relaxed) == 1 {
        return Ok(asked);
    }
    require(Device::Cuda(0))?;
    let count = usize::try_from(tch::Cuda::device_count()).unwrap_or(1).max(1);
    Ok(Device::Cuda(NUMBER.load(Ordering::Relaxed) % count))
}

/// Sets how many threads libtorch uses inside one operation on the CPU, for the whole process.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}

static CPU_USED: AtomicBool = AtomicBool::new(false);

/// Sets libtorch's threads for as long as it lives, and then what it was before.
pub(crate) struct Threads(usize);

impl Threads {
    pub fn set(threads: usize) -> Self {
        let before = usize::try_from(tch::get_num_threads()).unwrap_or(1);
        set_threads(threads);
        Self(before)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        set_threads(self.0);
    }
}

/// Notes that libtorch has begun to compute on the CPU: its autograd threads are laid out for the
/// devices known by then, so CUDA's half can no longer be loaded.
pub(crate) fn note_cpu_use() {
    CPU_USED.store(true, Ordering::Relaxed);
}

fn require_cuda(index: usize) -> Result<(), DeviceError> {
    if library::cuda_library().is_none() {
        let folder = library::folder().unwrap_or_default().display().to_string();
        return Err(DeviceError::CpuOnlyLibtorch { folder });
    }
    let (cuda, gpus) = match driver::query() {
        Driver::Missing => return Err(DeviceError::NoDriver),
        Driver::Failed(code) => return Err(DeviceError::DriverFailed(code)),
        Driver::Present { cuda: (major, minor), gpus } => (format!("{major}.{minor}"), gpus.len()),
    };
    static OPENED: AtomicBool = AtomicBool::new(false);
    if CPU_USED.load(Ordering::Relaxed) && !OPENED.load(Ordering::Relaxed) {
        return Err(DeviceError::TooLate);
    }
    library::open_cuda().map_err(DeviceError::Unloadable)?;
    OPENED.store(true, Ordering::Relaxed);
    match usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
        0 => Err(DeviceError::NoGpu { gpus, cuda }),
        count if index >= count => Err(DeviceError::NoSuchGpu { index, count }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in ["cpu", "cuda:0", "cuda:7"] {
            assert_eq!(parse(text).map(name).as_deref(), Ok(text));
        }
        assert_eq!(parse("cuda"), Ok(Device::Cuda(0)));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "gpu",
            "CUDA",
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "cuda:+1",
            "cuda:99999999999999999999",
        ] {
            assert_eq!(parse(text), Err(DeviceError::Unknown(text.to_owned())));
        }
    }

    #[test]
    fn missing_cuda_is_an_error_with_its_reason() {
        match require(Device::Cuda(0)) {
            Ok(()) => assert!(tch::Cuda::is_available()),
            Err(error) => assert!(
                match error {
                    DeviceError::CpuOnlyLibtorch { .. } => library::cuda_library().is_none(),
                    DeviceError::NoDriver => driver::query() == Driver::Missing,
                    DeviceError::DriverFailed(code) => driver::query() == Driver::Failed(code),
                    // Other tests of this process train on the CPU.
                    DeviceError::TooLate | DeviceError::NoGpu { .. } => true,
                    _ => false,
                },
                "{error}"
            ),
        }
        assert_eq!(require(Device::Mps), Err(DeviceError::Unsupported("mps".to_owned())));
    }
}
