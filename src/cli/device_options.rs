//! The options that select the device: a GPU or the CPU.

use clap::Args;
use seqfit::{Device, device};

/// Selects the device.
#[derive(Clone, Debug, Args)]
pub struct DeviceOptions {
    /// Compute on the first GPU, the same as --device cuda
    #[arg(long, conflicts_with = "device")]
    cuda: bool,
    /// cpu, cuda or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE", value_parser = device::parse)]
    device: Option<Device>,
}

impl DeviceOptions {
    /// Returns the requested device, if any.
    pub fn chosen(&self) -> Option<Device> {
        if self.cuda { Some(Device::Cuda(0)) } else { self.device }
    }

    /// Returns the requested device, by default the CPU, after checking that it is available.
    pub fn require(&self) -> Result<Device, device::DeviceError> {
        let chosen = self.chosen().unwrap_or(Device::Cpu);
        device::require(chosen)?;
        Ok(chosen)
    }

    /// Returns whether a GPU was requested.
    pub fn is_cuda(&self) -> bool {
        self.chosen().is_some_and(|device| device.is_cuda())
    }
}
