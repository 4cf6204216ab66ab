//! Steps with the places that they read, as they are recorded.

use tch::{Device, Kind, Tensor};

use super::custom_kernels::{self, CustomKernels};
use crate::data::batches::{Batch, ResidentEpoch};
use crate::model::{ModelError, Sequential};
use crate::native::graph::Graph;
use crate::native::optimizer::Rate;
use crate::native::{LibtorchError, buffer};
use crate::train::step::StepContext;
use crate::train::step::autograd_step::{AutogradStep, StepOutput};
use crate::train::step::metric_sums::MetricSums;

/// A number of steps with the places that they read.
pub struct Recording {
    samples: Samples,
    /// For each step those of the Dropout layers.
    masks: Vec<Vec<Tensor>>,
    /// f32 [steps, 3]: the learning rates as [`custom_kernels::rates`] has them, and what is in there.
    rates: Tensor,
    known_rates: Vec<f32>,
    /// Nothing where steps are done one by one. What it works on is its own.
    pub graph: Option<(Vec<StepOutput>, Graph)>,
}

/// What a group's steps learn from.
pub enum Samples {
    /// Their numbers, i64 [steps · batch], where the samples are as they are.
    Chosen(Tensor),
    /// f32 [steps · batch, height, width] and i64 [steps · batch]
    Made(Batch),
}

impl Recording {
    /// Places for so many steps of `batch` samples.
    pub fn new(
        model: &Sequential,
        samples: Samples,
        steps: usize,
        batch: usize,
    ) -> Result<Self, ModelError> {
        let masks =
            (0..steps).map(|_| model.empty_masks(batch as i64)).collect::<Result<_, _>>()?;
        let options = (Kind::Float, model.device());
        let rates = Tensor::f_zeros([steps as i64, 3], options).map_err(LibtorchError::from)?;
        Ok(Self { samples, masks, rates, known_rates: Vec::new(), graph: None })
    }

    /// Brings what the steps read to its places: those from the place `start` in the order on. Nothing
    /// here waits for the device.
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
            Samples::Made(Batch { images, labels }) => {
                let made = epoch.batch(start, labels.numel())?;
                images.f_copy_(&made.images)?;
                labels.f_copy_(&made.labels)?;
            }
        }
        self.fill_masks_and_rates(model, contexts)
    }

    pub fn fill_masks_and_rates(
        &mut self,
        model: &Sequential,
        contexts: &[StepContext],
    ) -> Result<(), LibtorchError> {
        for (masks, context) in self.masks.iter_mut().zip(contexts) {
            model.draw_masks(masks, context.seed, context.number)?;
        }
        let rates = contexts
            .iter()
            .flat_map(|context| custom_kernels::rates(context.optimizer, context.number + 1));
        let rates: Vec<f32> = rates.collect();
        if rates != self.known_rates {
            let values = buffer::on_device(&rates, model.device())?;
            self.rates.f_copy_(&values.f_view_as(&self.rates)?)?;
            self.known_rates = rates;
        }
        Ok(())
    }

    /// The steps on what is in the places, done or recorded, and added to the totals.
    pub fn run(
        &self,
        epoch: &ResidentEpoch,
        learner: &mut AutogradStep,
        custom: Option<&CustomKernels>,
        totals: &mut MetricSums,
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
            .map(|(i, context)| self.step(samples, i, learner, custom, *context));
        let found = steps.collect::<Result<Vec<_>, _>>()?;
        totals.add(&samples.labels, &found)?;
        Ok(found)
    }

    /// One of them.
    fn step(
        &self,
        samples: &Batch,
        number: usize,
        learner: &mut AutogradStep,
        custom: Option<&CustomKernels>,
        context: StepContext,
    ) -> Result<StepOutput, ModelError> {
        let (masks, steps) = (&self.masks[number], self.masks.len() as i64);
        let part = |all: &Tensor| -> Result<Tensor, LibtorchError> {
            let batch = all.size()[0] / steps;
            Ok(all.f_narrow(0, number as i64 * batch, batch)?)
        };
        let batch = Batch { images: part(&samples.images)?, labels: part(&samples.labels)? };
        let rates = self.rates.f_select(0, number as i64).map_err(LibtorchError::from)?;
        if let Some(custom) = custom {
            return Ok(custom.step(
                learner.param_refs(),
                &batch,
                masks,
                (context.optimizer, &rates),
            )?);
        }
        let rate = rates.f_select(0, 0).map_err(LibtorchError::from)?;
        let rate = match learner.model.device() {
            // libtorch would read it back.
            Device::Cpu => Rate::Number(context.optimizer.learning_rate()),
            _ => Rate::Tensor(&rate),
        };
        learner.train_step(&batch, masks, (context.optimizer, rate), context.number)
    }
}
