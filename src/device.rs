//! The device that holds tensors and computes on them: `"cpu"`, `"cuda"`, `"cuda:1"`.
//!
//! Requesting CUDA on a machine without it is an error that gives the reason, never a silent fallback.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub use tch::Device;

use crate::native::nvidia_driver::{self, Driver};
use crate::native::{LibtorchError, loaded_libtorch};

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The text is not the name of a device.
    #[error("a device is \"cpu\", \"cuda\" or \"cuda:N\", found {0:?}")]
    Unknown(String),
    /// The loaded libtorch has no CUDA half.
    #[error(
        "CUDA was asked for, and the libtorch in {folder} is built for the CPU only: run \
         scripts/fetch_libtorch.sh --cuda, or train on the CPU (leave --cuda out)"
    )]
    CpuOnlyLibtorch {
        /// The folder that libtorch was loaded from.
        folder: String,
    },
    /// libtorch's CUDA half exists but cannot be loaded.
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
    /// The driver is installed but does not work.
    #[error(
        "CUDA was asked for, and the NVIDIA driver fails with CUDA error {0}: run nvidia-smi for details; error \
         100 means that no GPU is visible, 803 or 804 that the driver does not match its kernel module"
    )]
    DriverFailed(i32),
    /// The driver works, but libtorch finds no device with it.
    #[error(
        "CUDA was asked for, and libtorch finds no usable GPU (the driver reports GPUs: {gpus}, \
         CUDA: {cuda}): check CUDA_VISIBLE_DEVICES and that the driver is as new as libtorch's CUDA"
    )]
    NoGpu {
        /// The number of GPUs that the driver reports.
        gpus: usize,
        /// The newest CUDA version that the driver supports.
        cuda: String,
    },
    /// The GPU's index is too high.
    #[error("cuda:{index} was asked for, and there are {count} GPUs: use cuda:0 to cuda:{}", .count - 1)]
    NoSuchGpu {
        /// The index that was requested.
        index: usize,
        /// The number of GPUs present.
        count: usize,
    },
    /// CUDA was requested after libtorch had been set up without it.
    #[error(
        "CUDA must be asked for before the process first trains on the CPU: call \
         seqfit::device::require(Device::Cuda(0)) at the start"
    )]
    TooLate,
    /// seqfit does not run on this kind of device.
    #[error("seqfit runs on the CPU and on CUDA, found {0}")]
    Unsupported(String),
}

/// Parses a device's name.
///
/// ```
/// use seqfit::{Device, device};
/// assert_eq!(device::parse("cuda:1")?, Device::Cuda(1));
/// assert!(device::parse("gpu").is_err());
/// # Ok::<(), seqfit::device::DeviceError>(())
/// ```
///
/// # Errors
/// [`DeviceError::Unknown`] for any other text. [`require`] checks whether the device is present.
pub fn parse(text: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown(text.to_owned());
    match text {
        "cpu" => Ok(Device::Cpu),
        "cuda" => Ok(Device::Cuda(0)),
        _ => {
            let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
            // Only digits: `parse` alone would accept "+1".
            if !index.bytes().all(|b| b.is_ascii_digit()) {
                return Err(unknown());
            }
            index.parse().map(Device::Cuda).map_err(|_| unknown())
        }
    }
}

/// Returns the name that [`parse`] reads: `cpu`, `cuda:0`.
pub fn name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Makes sure that `device` can be used; for CUDA, this loads libtorch's CUDA half.
///
/// # Errors
/// The reason why it cannot be used: see [`DeviceError`].
pub fn require(device: Device) -> Result<(), DeviceError> {
    match device {
        Device::Cpu => Ok(()),
        Device::Cuda(index) => require_cuda(index),
        other => Err(DeviceError::Unsupported(name(other))),
    }
}

/// The number of cooperating processes on this machine, and this process's index among them.
static PROCESSES: AtomicUsize = AtomicUsize::new(1);
static NUMBER: AtomicUsize = AtomicUsize::new(0);
/// The number of processes that share this one's processors.
static SHARERS: AtomicUsize = AtomicUsize::new(1);

/// Returns the number of processors that this process may use, as they were when it was first asked for: finding out
/// reads four files of the control group, which took longer than some steps.
pub fn all_threads() -> usize {
    static ALL: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    (*ALL / SHARERS.load(Ordering::Relaxed)).max(1)
}

/// Divides this machine among `processes` processes, of which this is number `number`, from 0. Each gets a
/// separate GPU, as far as there are enough ([`own`]), and an equal part of its processors, which `sharers`
/// processes may use: threads of two processes on the same processor would wait for each other at every
/// operation.
pub fn share_machine(number: usize, processes: usize, sharers: usize) {
    NUMBER.store(number, Ordering::Relaxed);
    PROCESSES.store(processes.max(1), Ordering::Relaxed);
    SHARERS.store(sharers.max(1), Ordering::Relaxed);
    set_threads(all_threads());
}

/// Returns this process's device for the requested one: the GPU with its number, if it
/// [shares](share_machine) the machine.
///
/// # Errors
/// Like [`require`], if there is no GPU.
pub fn own(asked: Device) -> Result<Device, DeviceError> {
    if !asked.is_cuda() || PROCESSES.load(Ordering::Relaxed) == 1 {
        return Ok(asked);
    }
    require(Device::Cuda(0))?;
    let count = usize::try_from(tch::Cuda::device_count()).unwrap_or(1).max(1);
    Ok(Device::Cuda(NUMBER.load(Ordering::Relaxed) % count))
}

/// Sets the number of threads that libtorch uses within one CPU operation, for the whole process.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
}

static CPU_USED: AtomicBool = AtomicBool::new(false);

/// Sets libtorch's number of threads and restores the previous one when it is dropped.
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

/// Records that libtorch has started to compute on the CPU. Its autograd threads are created for the devices
/// known at that time, so CUDA's half can no longer be loaded.
pub(crate) fn note_cpu_use() {
    CPU_USED.store(true, Ordering::Relaxed);
}

fn require_cuda(index: usize) -> Result<(), DeviceError> {
    if loaded_libtorch::cuda_library().is_none() {
        let folder = loaded_libtorch::folder().unwrap_or_default().display().to_string();
        return Err(DeviceError::CpuOnlyLibtorch { folder });
    }
    let (cuda, gpus) = match nvidia_driver::query() {
        Driver::Missing => return Err(DeviceError::NoDriver),
        Driver::Failed(code) => return Err(DeviceError::DriverFailed(code)),
        Driver::Present { cuda: (major, minor), gpus } => (format!("{major}.{minor}"), gpus.len()),
    };
    static OPENED: AtomicBool = AtomicBool::new(false);
    if CPU_USED.load(Ordering::Relaxed) && !OPENED.load(Ordering::Relaxed) {
        return Err(DeviceError::TooLate);
    }
    loaded_libtorch::open_cuda().map_err(DeviceError::Unloadable)?;
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
                    DeviceError::CpuOnlyLibtorch { .. } =>
                        loaded_libtorch::cuda_library().is_none(),
                    DeviceError::NoDriver => nvidia_driver::query() == Driver::Missing,
                    DeviceError::DriverFailed(code) =>
                        nvidia_driver::query() == Driver::Failed(code),
                    // Other tests in this process train on the CPU.
                    DeviceError::TooLate | DeviceError::NoGpu { .. } => true,
                    _ => false,
                },
                "{error}"
            ),
        }
        assert_eq!(require(Device::Mps), Err(DeviceError::Unsupported("mps".to_owned())));
    }
}
