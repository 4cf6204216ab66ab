//! Steps by libtorch's autograd: any network, any loss, any optimizer, any device.

use tch::Tensor;

use super::autograd_step::{AutogradStep, StepOutput};
use super::engine::{BatchPart, Engine, Gradients, Input, InputKind, StepContext};
use super::metric_sums::MetricSums;
use super::weighted_loss::Objective;
use crate::data::batches::Batch;
use crate::model::{ModelError, Sequential, WeightsError};
use crate::native::fused_optimizers::Rate;
use crate::native::{LibtorchError, tensor_buffer};
use crate::tensors::{HostTensor, Tensors};
use crate::train::config::FitConfig;
use crate::train::snapshot::{Snapshot, Sums};

/// Trains a network batch by batch and keeps the metric sums, on the device.
pub(super) struct Autograd<'m> {
    learner: AutogradStep<'m>,
    totals: MetricSums,
}

impl<'m> Autograd<'m> {
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        objective: Objective,
    ) -> Result<Self, LibtorchError> {
        let totals = MetricSums::new(model.device(), Sums::default(), objective.correct)?;
        Ok(Self { learner: AutogradStep::new(model, config, objective)?, totals })
    }
}

impl Engine for Autograd<'_> {
    fn input_kind(&self) -> InputKind {
        InputKind::Batches
    }

    fn run(&mut self, input: &Input, context: StepContext) -> Result<(), ModelError> {
        let Input::Batch(batch) = input else {
            unreachable!("an engine gets the kind of input that it takes");
        };
        step(&mut self.learner, &mut self.totals, batch, context)
    }

    fn gradients(
        &mut self,
        input: &Input,
        part: BatchPart,
        context: StepContext,
        gradients: Gradients,
    ) -> Result<Sums, ModelError> {
        let Input::Batch(batch) = input else {
            unreachable!("an engine gets the kind of input that it takes");
        };
        let samples = batch.samples();
        if samples == 0 {
            match gradients {
                Gradients::Host(list) => list.fill(0.0),
                Gradients::Device(list) => fill_with_zeros(list)?,
            }
            return Ok(Sums::default());
        }
        let model = &*self.learner.model;
        let mut noise = model.empty_noise(part.batch as i64)?;
        // Those of the whole batch, so that they do not depend on how it is split.
        model.draw_noise(&mut noise, context.seed, context.number)?;
        let rows_of = |noise: &Tensor| noise.f_narrow(0, part.first as i64, samples as i64);
        let noise: Result<Vec<Tensor>, _> = noise.iter().map(rows_of).collect();
        let noise = noise.map_err(LibtorchError::from)?;
        let fraction = samples as f64 / part.batch as f64;
        let buffers = self.learner.copy_of_buffers()?;
        let (mut found, StepOutput { logits, loss }) =
            self.learner.backward(batch, &noise, Some(fraction))?;
        // Every part begins with the buffers before the step; those after it are the mean over the parts.
        found.extend(self.learner.exchange_buffers(&buffers, fraction)?);
        match gradients {
            Gradients::Host(mut rest) => {
                for tensor in found {
                    let place = rest.split_off_mut(..tensor.numel()).unwrap_or_default();
                    HostTensor::copy_to(&tensor, place)?;
                }
            }
            Gradients::Device(list) => join(&found, list)?,
        }
        let correct = self.learner.objective.correct.count(&logits, &batch.targets)?;
        let mean = || loss.f_double_value(&[]);
        Ok(Sums {
            loss: mean().map_err(LibtorchError::from)? * samples as f64,
            correct: correct.f_int64_value(&[]).map_err(LibtorchError::from)?,
            samples,
        })
    }

    fn update(
        &mut self,
        gradients: Gradients,
        context: StepContext,
        sums: Sums,
    ) -> Result<(), ModelError> {
        let parameters = self.learner.model.tensors();
        let count = parameters.len();
        let like = parameters.iter().chain(self.learner.model.buffer_tensors());
        let mut tensors = match gradients {
            Gradients::Host(mut rest) => {
                let mut next = |parameter: &Tensor| {
                    let place = rest.split_off_mut(..parameter.numel()).unwrap_or_default();
                    let flat = tensor_buffer::on_device(place, parameter.device())?;
                    Ok(flat.f_reshape(parameter.size())?)
                };
                like.map(&mut next).collect::<Result<Vec<_>, LibtorchError>>()?
            }
            Gradients::Device(list) => split_like(list, like)?,
        };
        self.learner.set_buffers(&tensors.split_off(count))?;
        let rate = Rate::Number(context.optimizer.learning_rate());
        self.learner.update(tensors, (context.optimizer, rate), context.number)?;
        Ok(self.totals.add_sums(sums)?)
    }

    fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        Ok(self.learner.model)
    }

    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.learner.model.set_weights(weights)
    }

    fn swap_ema_weights(&mut self) -> Result<(), LibtorchError> {
        self.learner.swap_ema_weights();
        Ok(())
    }

    fn average(&mut self) -> Result<Tensors, LibtorchError> {
        self.learner.average()
    }

    fn moments(&mut self) -> Result<[Tensors; 2], LibtorchError> {
        self.learner.moments()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        self.learner.restore(snapshot)
    }

    fn not_finite(&mut self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        self.learner.not_finite()
    }

    fn sums(&mut self) -> Result<Sums, LibtorchError> {
        self.totals.read()
    }

    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.totals.set(sums)
    }

    fn finite_steps(&mut self) -> Result<Option<usize>, LibtorchError> {
        self.totals.finite_steps()
    }
}

/// Writes tensors one after the other into a list that has room for all.
fn join(tensors: &[Tensor], list: &Tensor) -> Result<(), LibtorchError> {
    let _no_grad = tch::no_grad_guard();
    let mut first = 0;
    for tensor in tensors {
        let length = tensor.numel() as i64;
        list.f_narrow(0, first, length)?.f_copy_(&tensor.f_reshape([length])?)?;
        first += length;
    }
    Ok(())
}

/// Splits such a list into tensors like `variables`, which share its memory.
fn split_like<'a>(
    list: &Tensor,
    variables: impl Iterator<Item = &'a Tensor>,
) -> Result<Vec<Tensor>, LibtorchError> {
    let mut first = 0;
    let mut next = |parameter: &Tensor| {
        let length = parameter.numel() as i64;
        let part = list.f_narrow(0, first, length)?.f_reshape(parameter.size())?;
        first += length;
        Ok(part)
    };
    variables.map(&mut next).collect()
}

fn fill_with_zeros(list: &Tensor) -> Result<(), LibtorchError> {
    let _no_grad = tch::no_grad_guard();
    let _ = list.shallow_clone().f_zero_()?;
    Ok(())
}

/// Takes a step on a batch of any size.
pub(super) fn step(
    autograd_step: &mut AutogradStep,
    metric_sums: &mut MetricSums,
    batch: &Batch,
    context: StepContext,
) -> Result<(), ModelError> {
    let samples = batch.samples();
    let mut noise = autograd_step.model.empty_noise(samples as i64)?;
    autograd_step.model.draw_noise(&mut noise, context.seed, context.number)?;
    let rate = Rate::Number(context.optimizer.learning_rate());
    let output =
        autograd_step.train_step(batch, &noise, (context.optimizer, rate), context.number)?;
    metric_sums.count(samples);
    Ok(metric_sums.add(&batch.targets, &[output])?)
}
