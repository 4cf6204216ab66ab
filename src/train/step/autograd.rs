//! Steps by libtorch's autograd: any network, any loss, any optimiser, any device.

use tch::{Device, Kind, Tensor};

use super::{Engine, Input, Turn};
use crate::data::batches::Batch;
use crate::loss::Loss;
use crate::model::{ModelError, Sequential, WeightsError};
use crate::native::LibtorchError;
use crate::tensors::{HostTensor, Tensors};
use crate::train::config::FitConfig;
use crate::train::optimizer;
use crate::train::snapshot::{Snapshot, Sums};

/// Trains a network batch by batch and keeps the sums of what it saw, on the device.
pub(super) struct Autograd<'m> {
    model: &'m mut Sequential,
    optimizer: optimizer::State,
    loss: Loss,
    label_smoothing: f64,
    clip_norm: Option<f64>,
    /// The decay of the weights' moving average, and the average: none before the first step.
    ema: Option<(f64, Vec<Tensor>)>,
    totals: Totals,
}

/// Sums over the samples of the steps so far: 64 bit, so that no sample is lost to rounding.
struct Totals {
    loss: Tensor,
    correct: Tensor,
    samples: usize,
    /// Steps up to the first loss that was not finite, counted where reading each back would stop
    /// the device.
    finite_steps: Option<Tensor>,
}

impl<'m> Autograd<'m> {
    pub fn new(model: &'m mut Sequential, config: &FitConfig) -> Result<Self, LibtorchError> {
        let device = model.device();
        Ok(Self {
            optimizer: optimizer::State::new(config.optimizer, model.tensors(), device)?,
            loss: config.loss,
            label_smoothing: config.label_smoothing,
            clip_norm: config.clip_norm,
            ema: config.ema.map(|decay| (decay, Vec::new())),
            totals: Totals::new(device, Sums::default())?,
            model,
        })
    }

    fn named(&self, tensors: &[Tensor]) -> Result<Tensors, LibtorchError> {
        let named = self.model.parameters().zip(tensors);
        named.map(|((name, _), t)| Ok((name.to_owned(), HostTensor::copy_of(t)?))).collect()
    }
}

impl Engine for Autograd<'_> {
    fn gathers(&self) -> bool {
        false
    }

    fn run(&mut self, input: &Input, turn: Turn) -> Result<(), ModelError> {
        let Input::Batch(batch) = input else {
            unreachable!("an engine that does not gather gets batches");
        };
        let logits = self.model.forward(&batch.images, turn.mode)?;
        let loss = self.loss.mean(&logits, &batch.labels, self.label_smoothing)?;
        self.totals.add(&logits, &loss, batch)?;
        let mut gradients = Tensor::f_run_backward(&[loss], self.model.tensors(), false, false)
            .map_err(LibtorchError::from)?;
        if let Some(norm) = self.clip_norm {
            clip(&mut gradients, norm)?;
        }
        self.optimizer.step(self.model.tensors_mut(), &gradients, turn.optimizer, turn.number)?;
        if let Some((decay, average)) = &mut self.ema {
            follow(average, self.model.tensors(), *decay)?;
        }
        Ok(())
    }

    fn model(&mut self) -> Result<&Sequential, LibtorchError> {
        Ok(self.model)
    }

    fn set_weights(&mut self, weights: &Tensors) -> Result<(), WeightsError> {
        self.model.set_weights(weights)
    }

    fn exchange_average(&mut self) {
        if let Some((_, average)) = &mut self.ema {
            for (weight, average) in self.model.tensors_mut().iter_mut().zip(average) {
                std::mem::swap(weight, average);
            }
        }
    }

    fn average(&self) -> Result<Tensors, LibtorchError> {
        self.named(self.ema.as_ref().map_or(&[], |(_, average)| average))
    }

    fn moments(&self) -> Result<[Tensors; 2], LibtorchError> {
        let [first, second] = self.optimizer.moments();
        Ok([self.named(first)?, self.named(second)?])
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), WeightsError> {
        let Snapshot { state, weights, average, moments, .. } = snapshot;
        self.model.set_weights(weights)?;
        let names: Vec<String> = self.model.parameters().map(|(name, _)| name.to_owned()).collect();
        if let Some((_, own)) = &mut self.ema {
            own.clear();
            if !average.is_empty() {
                follow(own, self.model.tensors(), 0.0)?;
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

    fn not_finite(&self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
        let [first, second] = self.optimizer.moments();
        let average = self.ema.as_ref().map_or(&[][..], |(_, average)| average);
        for (what, tensors) in [
            ("weights", self.model.tensors()),
            ("weights' average", average),
            ("optimiser's memory", first),
            ("optimiser's memory", second),
        ] {
            let largest = largest(tensors)?;
            if !largest.is_finite() {
                return Ok(Some((what, largest)));
            }
        }
        Ok(None)
    }

    fn sums(&self) -> Result<Sums, LibtorchError> {
        let Totals { loss, correct, samples, .. } = &self.totals;
        let loss = loss.f_double_value(&[])?;
        Ok(Sums { loss, correct: correct.f_int64_value(&[])?, samples: *samples })
    }

    fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.totals = Totals::new(self.model.device(), sums)?;
        Ok(())
    }

    fn finite_steps(&self) -> Result<Option<usize>, LibtorchError> {
        let steps = self.totals.finite_steps.as_ref();
        steps.map(|steps| Ok(steps.f_int64_value(&[])? as usize)).transpose()
    }
}

/// The largest magnitude in all of them; NaN if one holds it.
fn largest(tensors: &[Tensor]) -> Result<f64, LibtorchError> {
    let _no_grad = tch::no_grad_guard();
    tensors.iter().try_fold(0.0, |largest: f64, tensor| {
        let own = tensor.f_abs()?.f_max()?.f_double_value(&[])?;
        // f64::max would drop a NaN.
        Ok(if own.is_nan() || largest.is_nan() { f64::NAN } else { largest.max(own) })
    })
}

/// Scales all gradients by the same share, so that their norm together is at most `most`. Nothing is
/// read back from the device.
fn clip(gradients: &mut [Tensor], most: f64) -> Result<(), LibtorchError> {
    let _no_grad = tch::no_grad_guard();
    let norms: Vec<Tensor> = gradients.iter().map(tch::Tensor::f_norm).collect::<Result<_, _>>()?;
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
    // PyTorch's guard against a norm of zero.
    let share = norm.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(most)?.f_clamp_max(1.0)?;
    for gradient in gradients {
        let _ = gradient.f_mul_(&share)?;
    }
    Ok(())
}

/// Moves an average towards `weights`; one that is empty becomes a copy of them.
fn follow(average: &mut Vec<Tensor>, weights: &[Tensor], decay: f64) -> Result<(), LibtorchError> {
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

impl Totals {
    fn new(device: Device, sums: Sums) -> Result<Self, LibtorchError> {
        let loss = Tensor::f_full([0i64; 0], sums.loss, (Kind::Double, device))?;
        let correct = Tensor::f_full([0i64; 0], sums.correct, (Kind::Int64, device))?;
        let finite_steps = match device {
            Device::Cpu => None,
            _ => Some(Tensor::f_zeros([0i64; 0], (Kind::Int64, device))?),
        };
        Ok(Self { loss, correct, samples: sums.samples, finite_steps })
    }

    fn add(&mut self, logits: &Tensor, loss: &Tensor, batch: &Batch) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        let samples = batch.labels.size().first().copied().unwrap_or(0);
        let _ = self.loss.f_add_(&loss.f_to_kind(Kind::Double)?.f_mul_scalar(samples)?)?;
        let right = logits.f_argmax(-1, false)?.f_eq_tensor(&batch.labels)?;
        let _ = self.correct.f_add_(&right.f_sum(Kind::Int64)?)?;
        self.samples += samples as usize;
        if let Some(finite_steps) = &mut self.finite_steps {
            // A sum that has become NaN or infinite stays so.
            let _ = finite_steps.f_add_(&self.loss.f_isfinite()?)?;
        }
        Ok(())
    }
}
