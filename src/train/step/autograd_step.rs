//! The parts of a step by libtorch's autograd, for the engines that take such steps one by one
//! ([`Autograd`](super::autograd_engine::Autograd)) or recorded ([`CudaGraph`](super::cuda_graph::CudaGraph)).

use tch::Tensor;

use super::weighted_loss::Objective;
use crate::data::batches::Batch;
use crate::model::{ModelError, Sequential, WeightsError};
use crate::native::fused_optimizers::Rate;
use crate::native::matmul_precision::Tf32;
use crate::native::{LibtorchError, tensor_buffer};
use crate::precision::Precision;
use crate::tensors::{HostTensor, Tensors};
use crate::train::config::FitConfig;
use crate::train::optimizer::{self, Optimizer};
use crate::train::snapshot::Snapshot;

/// A network with its optimizer state, and the training step that updates both.
pub(super) struct AutogradStep<'m> {
    pub model: &'m mut Sequential,
    optimizer: optimizer::State,
    pub objective: Objective,
    /// The weights of the classes, on the network's device.
    class_weights: Option<Tensor>,
    clip_norm: Option<f64>,
    precision: Precision,
    /// The decay of the weights' moving average, and the average, which is empty before the first step.
    ema: Option<(f64, Vec<Tensor>)>,
}

/// The output of a step before it updates the weights, on the device.
pub(super) struct StepOutput {
    /// f32 [batch, classes]
    pub logits: Tensor,
    /// f32: the mean loss, a scalar, or the loss of each sample, [batch].
    pub loss: Tensor,
}

/// The tensors that a step reads and writes: one for each parameter, or none where there is no state.
pub(super) struct ParamRefs<'a> {
    pub parameters: &'a [Tensor],
    pub moments: [&'a [Tensor]; 2],
    pub average: &'a [Tensor],
}

impl<'m> AutogradStep<'m> {
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        objective: Objective,
    ) -> Result<Self, LibtorchError> {
        let device = model.device();
        Ok(Self {
            optimizer: optimizer::State::new(config.optimizer, model.tensors(), device)?,
            class_weights: match &objective.class_weights {
                Some(weights) => Some(tensor_buffer::on_device(weights, device)?),
                None => None,
            },
            objective,
            clip_norm: config.clip_norm,
            precision: config.precision,
            ema: config.ema.map(|decay| (decay, Vec::new())),
            model,
        })
    }

    /// Takes one step: forward, backward, optimizer, moving average. `before`: the number of steps before
    /// this one.
    pub fn train_step(
        &mut self,
        batch: &Batch,
        noise: &[Tensor],
        rate: (Optimizer, Rate<'_>),
        before: u64,
    ) -> Result<StepOutput, ModelError> {
        let (gradients, output) = self.backward(batch, noise, None)?;
        self.update(gradients, rate, before)?;
        Ok(output)
    }

    /// Runs the first half of a step: the gradients of the mean loss.
    ///
    /// A part of a batch contributes a `fraction` of that mean; the loss returned is the mean of the
    /// part.
    pub fn backward(
        &self,
        batch: &Batch,
        noise: &[Tensor],
        fraction: Option<f64>,
    ) -> Result<(Vec<Tensor>, StepOutput), ModelError> {
        // The config decides whether a step uses TF32, not the process's setting.
        let _tf32 = match self.model.device().is_cuda() {
            true => Some(Tf32::allow(self.precision == Precision::Tf32)?),
            false => None,
        };
        let logits = self.model.pass(&batch.inputs, Some(noise), self.precision)?;
        let loss = self.objective.mean(&logits, batch, self.class_weights.as_ref())?;
        let scaled = fraction.map(|fraction| loss.f_mul_scalar(fraction)).transpose();
        let scaled = scaled.map_err(LibtorchError::from)?;
        let target = scaled.as_ref().unwrap_or(&loss);
        let gradients = Tensor::f_run_backward(&[target], self.model.tensors(), false, false)
            .map_err(LibtorchError::from)?;
        let detached = |tensor: Tensor| tensor.f_detach().map_err(LibtorchError::from);
        Ok((gradients, StepOutput { logits: detached(logits)?, loss: detached(loss)? }))
    }

    /// Runs the second half of a step: optimizer and moving average.
    pub fn update(
        &mut self,
        mut gradients: Vec<Tensor>,
        (optimizer, rate): (Optimizer, Rate<'_>),
        before: u64,
    ) -> Result<(), LibtorchError> {
        if let Some(norm) = self.clip_norm {
            clip(&mut gradients, norm)?;
        }
        self.optimizer.step(self.model.tensors_mut(), &gradients, optimizer, rate, before)?;
        if let Some((decay, average)) = &mut self.ema {
            ema_update(average, self.model.tensors(), *decay)?;
        }
        Ok(())
    }

    /// Returns a copy of the network's buffers.
    pub fn copy_of_buffers(&self) -> Result<Vec<Tensor>, LibtorchError> {
        let buffers = self.model.buffer_tensors().iter();
        buffers.map(|buffer| Ok(buffer.f_detach_copy()?)).collect()
    }

    /// Overwrites the network's buffers, and returns a `fraction` of what they were.
    pub fn exchange_buffers(
        &self,
        buffers: &[Tensor],
        fraction: f64,
    ) -> Result<Vec<Tensor>, LibtorchError> {
        let own = self.model.buffer_tensors().iter();
        let parts = own.map(|buffer| Ok(buffer.f_mul_scalar(fraction)?));
        let parts = parts.collect::<Result<_, LibtorchError>>()?;
        self.set_buffers(buffers)?;
        Ok(parts)
    }

    /// Overwrites the network's buffers.
    pub fn set_buffers(&self, buffers: &[Tensor]) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        for (own, buffer) in self.model.buffer_tensors().iter().zip(buffers) {
            own.shallow_clone().f_copy_(buffer)?;
        }
        Ok(())
    }

    /// Returns the tensors that the next step reads and writes, for a step that is computed elsewhere.
    pub fn param_refs(&self) -> ParamRefs<'_> {
        ParamRefs {
            parameters: self.model.tensors(),
            moments: self.optimizer.moments(),
            average: self.ema.as_ref().map_or(&[], |(_, average)| average),
        }
    }

    /// Starts the moving average with the weights after the first step, if an average is wanted and not
    /// yet started.
    pub fn start_ema(&mut self) -> Result<(), LibtorchError> {
        match &mut self.ema {
            Some((decay, average)) if average.is_empty() => {
                ema_update(average, self.model.tensors(), *decay)
            }
            _ => Ok(()),
        }
    }

    /// Swaps the weights with their moving average, if there is one.
    pub fn swap_ema_weights(&mut self) {
        if let Some((_, average)) = &mut self.ema {
            for (weight, average) in self.model.tensors_mut().iter_mut().zip(average) {
                std::mem::swap(weight, average);
            }
        }
    }

    /// Returns a copy of the moving average.
    pub fn average(&self) -> Result<Tensors, LibtorchError> {
        self.named(self.ema.as_ref().map_or(&[], |(_, average)| average))
    }

    /// Returns copies of both lists of moments.
    pub fn moments(&self) -> Result<[Tensors; 2], LibtorchError> {
        let [first, second] = self.optimizer.moments();
        Ok([self.named(first)?, self.named(second)?])
    }

    fn named(&self, tensors: &[Tensor]) -> Result<Tensors, LibtorchError> {
        let named = self.model.parameters().zip(tensors);
        named.map(|((name, _), t)| Ok((name.to_owned(), HostTensor::copy_of(t)?))).collect()
    }

    /// Restores weights, moving average and moments. The average may be in other tensors than before.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        let Snapshot { state, weights, average, moments, .. } = snapshot;
        self.model.set_weights(weights)?;
        let names: Vec<String> = self.model.parameters().map(|(name, _)| name.to_owned()).collect();
        if let Some((_, own)) = &mut self.ema {
            own.clear();
            if !average.is_empty() {
                ema_update(own, self.model.tensors(), 0.0)?;
            }
            for (name, tensor) in names.iter().zip(own) {
                if let Some(saved) = average.get(name) {
                    saved.copy_into(tensor)?;
                }
            }
        }
        for (saved, own) in moments.iter().zip(self.optimizer.restore(state.step)?) {
            for (name, tensor) in names.iter().zip(own) {
                if let Some(moment) = saved.get(name) {
                    moment.copy_into(tensor)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the first of weights, moving average and moments with a non-finite number, and that
    /// number.
    pub fn not_finite(&self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        let [first, second] = self.optimizer.moments();
        let average = self.ema.as_ref().map_or(&[][..], |(_, average)| average);
        for (what, tensors) in [
            ("weights", self.model.tensors()),
            ("weights", self.model.buffer_tensors()),
            ("weights' average", average),
            ("optimizer state", first),
            ("optimizer state", second),
        ] {
            let largest = largest(tensors)?;
            if !largest.is_finite() {
                return Ok(Some((what, largest)));
            }
        }
        Ok(None)
    }
}

/// Returns the largest magnitude in all tensors; NaN if one holds it.
fn largest(tensors: &[Tensor]) -> Result<f64, LibtorchError> {
    let _no_grad = tch::no_grad_guard();
    tensors.iter().try_fold(0.0, |largest: f64, tensor| {
        let own = tensor.f_abs()?.f_max()?.f_double_value(&[])?;
        // f64::max would drop a NaN.
        Ok(if own.is_nan() || largest.is_nan() { f64::NAN } else { largest.max(own) })
    })
}

/// Scales all gradients by the same factor, so that their total norm is at most `most`. Nothing is read
/// back from the device.
fn clip(gradients: &mut [Tensor], most: f64) -> Result<(), LibtorchError> {
    let _no_grad = tch::no_grad_guard();
    let norms: Vec<Tensor> = gradients.iter().map(tch::Tensor::f_norm).collect::<Result<_, _>>()?;
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
    // PyTorch's guard against a norm of zero.
    let scale = norm.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(most)?.f_clamp_max(1.0)?;
    for gradient in gradients {
        let _ = gradient.f_mul_(&scale)?;
    }
    Ok(())
}

/// Updates a moving average with `weights`; an empty one becomes a copy of them.
fn ema_update(
    average: &mut Vec<Tensor>,
    weights: &[Tensor],
    decay: f64,
) -> Result<(), LibtorchError> {
    let _no_grad = tch::no_grad_guard();
    if average.is_empty() {
        for weight in weights {
            let copy = weight.f_detach_copy()?;
            average.push(copy.f_set_requires_grad(true)?);
        }
        return Ok(());
    }
    for (average, weight) in average.iter_mut().zip(weights) {
        let _ = average.f_lerp_(weight, 1.0 - decay)?;
    }
    Ok(())
}
