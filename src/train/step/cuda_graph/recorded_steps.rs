//! Steps with the tensors that they read, as they are recorded.

use tch::{Device, Kind, Tensor};

use super::custom_kernels::{self, CustomKernels};
use crate::data::batches::{Batch, ResidentEpoch};
use crate::model::{ModelError, Sequential};
use crate::native::cuda_graph::Graph;
use crate::native::fused_optimizers::Rate;
use crate::native::{LibtorchError, tensor_buffer};
use crate::train::step::autograd_step::{AutogradStep, StepOutput};
use crate::train::step::engine::StepContext;
use crate::train::step::metric_sums::MetricSums;

/// A number of steps with the tensors that they read.
pub struct Recording {
    samples: Samples,
    /// For each step, the random numbers of the layers.
    noise: Vec<Vec<Tensor>>,
    /// f32 [steps, 3]: the learning rates as returned by [`custom_kernels::rates`].
    rates: Tensor,
    /// The values that `rates` holds now.
    known_rates: Vec<f32>,
    /// None where steps run one by one. The graph owns the tensors that it works on.
    pub graph: Option<(Vec<StepOutput>, Graph)>,
}

/// The training samples of a group's steps.
pub enum Samples {
    /// Their indices, i64 [steps · batch], if the samples are not augmented.
    Chosen(Tensor),
    /// Finished batches, one after the other: inputs and targets of steps · batch samples.
    Made(Batch),
}

impl Recording {
    /// Returns the input tensors of `steps` steps of `batch` samples.
    pub fn new(
        model: &Sequential,
        samples: Samples,
        steps: usize,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let noise =
            (0..steps).map(|_| model.empty_noise(batch as i64)).collect::<Result<_, _>>()?;
        let options = (Kind::Float, model.device());
        let rates = Tensor::f_zeros([steps as i64, 3], options).map_err(LibtorchError::from)?;
        Ok(Self { samples, noise, rates, known_rates: Vec::new(), graph: None })
    }

    /// Copies the input of the steps to their tensors: the samples from position `start` in the order on.
    /// Nothing here waits for the device.
    pub fn fill(
        &mut self,
        model: &Sequential,
        epoch: &ResidentEpoch,
        start: usize,
        contexts: &[StepContext],
    ) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        match &mut self.samples {
            Samples::Chosen(numbers) => {
                let count = numbers.numel();
                numbers.f_copy_(&epoch.chosen(start, count)?)?;
            }
            Samples::Made(samples) => {
                samples.copy_from(&epoch.batch(start, samples.samples())?)?;
            }
        }
        self.fill_noise_and_rates(model, contexts)
    }

    pub fn fill_noise_and_rates(
        &mut self,
        model: &Sequential,
        contexts: &[StepContext],
    ) -> Result<(), LibtorchError> {
        for (noise, context) in self.noise.iter_mut().zip(contexts) {
            model.draw_noise(noise, context.seed, context.number)?;
        }
        let rates = contexts
            .iter()
            .flat_map(|context| custom_kernels::rates(context.optimizer, context.number + 1));
        let rates: Vec<f32> = rates.collect();
        if rates != self.known_rates {
            let values = tensor_buffer::on_device(&rates, model.device())?;
            self.rates.f_copy_(&values.f_view_as(&self.rates)?)?;
            self.known_rates = rates;
        }
        Ok(())
    }

    /// Runs or records the steps on the filled tensors, and adds them to the metric sums.
    pub fn run(
        &self,
        epoch: &ResidentEpoch,
        autograd_step: &mut AutogradStep,
        custom: Option<&CustomKernels>,
        metric_sums: &mut MetricSums,
        contexts: &[StepContext],
    ) -> Result<Vec<StepOutput>, ModelError> {
        let gathered;
        let samples = match &self.samples {
            Samples::Made(samples) => samples,
            Samples::Chosen(numbers) => {
                gathered = epoch.gather(numbers)?;
                &gathered
            }
        };
        let steps = (0..)
            .zip(contexts)
            .map(|(i, context)| self.step(samples, i, autograd_step, custom, *context));
        let found = steps.collect::<Result<Vec<_>, _>>()?;
        metric_sums.add(&samples.targets, &found)?;
        Ok(found)
    }

    /// Runs one of the steps.
    fn step(
        &self,
        samples: &Batch,
        number: usize,
        autograd_step: &mut AutogradStep,
        custom: Option<&CustomKernels>,
        context: StepContext,
    ) -> Result<StepOutput, ModelError> {
        let (noise, steps) = (&self.noise[number], self.noise.len() as i64);
        let part = |all: &Tensor| -> Result<Tensor, LibtorchError> {
            let batch = all.size()[0] / steps;
            Ok(all.f_narrow(0, number as i64 * batch, batch)?)
        };
        let batch = samples.map(part)?;
        let rates = self.rates.f_select(0, number as i64).map_err(LibtorchError::from)?;
        if let Some(custom) = custom {
            return Ok(custom.step(
                autograd_step.param_refs(),
                &batch,
                noise,
                (context.optimizer, &rates),
            )?);
        }
        let rate = rates.f_select(0, 0).map_err(LibtorchError::from)?;
        let rate = match autograd_step.model.device() {
            // libtorch would read a tensor back.
            Device::Cpu => Rate::Number(context.optimizer.learning_rate()),
            _ => Rate::Tensor(&rate),
        };
        autograd_step.train_step(&batch, noise, (context.optimizer, rate), context.number)
    }
}
