//! The choice of the engine: the fastest that takes the network, the settings and the device.

use super::{cpu_dense, cuda_graph};
use crate::config_error::{ConfigError, Unsupported};
use crate::device::Device;
use crate::free_memory::{TooLittleMemory, check_left, gigabytes};
use crate::model::{Spec, Summary};
use crate::precision::Precision;
use crate::train::config::{Engine, FitConfig};

/// The engines, the fastest first; the last accepts everything.
const ENGINES: [Engine; 3] = [Engine::Graph, Engine::Fused, Engine::Autograd];

impl FitConfig {
    /// Returns the same settings with every choice made that is left to the network and the machine, so
    /// that they are recorded and repeat the training elsewhere: the engine, and the threads where they
    /// matter.
    pub fn resolved(mut self, network: &Spec, device: Device) -> Self {
        self.engine = self.engine_for(network, device);
        if self.engine == Engine::Autograd && device == Device::Cpu {
            self.threads = Some(self.step_threads());
        }
        self
    }

    /// Returns the engine that trains such a network on that device.
    pub(in crate::train) fn engine_for(&self, network: &Spec, device: Device) -> Engine {
        match self.engine {
            Engine::Auto => fastest(network, self, device),
            chosen => chosen,
        }
    }

    /// Checks the settings against the network and the device.
    ///
    /// # Errors
    /// An engine that does not take the network, the loss or the precision there; a precision that the device lacks; a
    /// batch size that a layer cannot learn from; on the CPU weights, gradients and moments that do not fit in memory.
    pub fn check_for(&self, network: &Spec, device: Device) -> Result<(), ConfigError> {
        accepts(self.engine, network, self, device)?;
        let on_cpu = device == Device::Cpu;
        let rule = "f32 or bf16 on the CPU, which has no TF32";
        let holds = self.precision != Precision::Tf32 || !on_cpu;
        ConfigError::unless(holds, "precision", rule, self.precision.name())?;
        self.check_batch(network)?;
        if on_cpu { self.check_memory(network) } else { Ok(()) }
    }

    /// Checks that the network can learn from a batch.
    fn check_batch(&self, network: &Spec) -> Result<(), ConfigError> {
        let Some((layer, needed)) = network.smallest_batch() else { return Ok(()) };
        let rule =
            format!("at least {needed} for {layer}, which learns from differences between samples");
        ConfigError::unless(self.batch_size >= needed, "batch size", &rule, self.batch_size)
    }

    /// Checks that there is memory for the weights, the gradients and what the optimizer keeps for each.
    fn check_memory(&self, network: &Spec) -> Result<(), ConfigError> {
        let Ok(summary) = Summary::new(network) else { return Ok(()) };
        let moments = self.optimizer.state_slots().into_iter().filter(|kept| *kept).count();
        let averages = usize::from(self.ema.is_some());
        let copies = 2 + moments + averages;
        let values = summary.parameters() as u64 * copies as u64;
        let what = || format!("{copies} numbers for each weight (itself, its gradient, moments)");
        check_left(values * size_of::<f32>() as u64, what).map_err(
            |TooLittleMemory { what, needed, left, owner }| {
                let (needed, left) = (gigabytes(needed), gigabytes(left));
                ConfigError {
                    setting: "the network",
                    rule: format!("small enough for the {left} of memory that {owner} has left"),
                    found: format!("{needed}, {what}: use fewer units or features"),
                }
            },
        )
    }
}

/// Checks that an engine can train such a network with these settings on that device.
fn accepts(
    engine: Engine,
    network: &Spec,
    config: &FitConfig,
    device: Device,
) -> Result<(), Unsupported> {
    match engine {
        Engine::Graph => cuda_graph::accepts(config, device),
        Engine::Fused => cpu_dense::accepts(network, config, device),
        Engine::Auto | Engine::Autograd => Ok(()),
    }
}

/// Returns the fastest engine that accepts these.
fn fastest(network: &Spec, config: &FitConfig, device: Device) -> Engine {
    let accepts = |engine: &Engine| accepts(*engine, network, config, device).is_ok();
    ENGINES.into_iter().find(accepts).unwrap_or(Engine::Autograd)
}
