//! One training step by autograd: any network, any loss, any optimiser, any device.

use tch::{Device, Kind, Tensor};

use super::config::FitConfig;
use super::optimizer;
use super::schedule::{Course, Schedule};
use super::snapshot::Sums;
use crate::data::batches::Batch;
use crate::loss::Loss;
use crate::model::{Mode, ModelError, Sequential, WeightsError, check_like};
use crate::native::LibtorchError;
use crate::tensors::{HostTensor, Tensors};

/// Trains a network batch by batch and keeps the sums of what it saw, on the device.
pub(super) struct Step<'m> {
    pub model: &'m mut Sequential,
    pub optimizer: optimizer::State,
    loss: Loss,
    label_smoothing: f64,
    clip_norm: Option<f64>,
    schedule: Schedule,
    course: Course,
    /// The decay of the weights' moving average, and the average: none before the first step.
    ema: Option<(f64, Vec<Tensor>)>,
    seed: u64,
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

impl<'m> Step<'m> {
    pub fn new(
        model: &'m mut Sequential,
        config: &FitConfig,
        course: Course,
    ) -> Result<Self, LibtorchError> {
        let device = model.device();
        Ok(Self {
            optimizer: optimizer::State::new(config.optimizer, model.tensors(), device)?,
            loss: config.loss,
            label_smoothing: config.label_smoothing,
            clip_norm: config.clip_norm,
            schedule: config.schedule,
            course,
            ema: config.ema.map(|decay| (decay, Vec::new())),
            seed: config.seed,
            totals: Totals::new(device, Sums::default())?,
            model,
        })
    }

    /// Forward, backward and the optimiser's step for one batch.
    pub fn run(&mut self, batch: &Batch) -> Result<(), ModelError> {
        let mode = Mode::Training { seed: self.seed, step: self.optimizer.steps() };
        let logits = self.model.forward(&batch.images, mode)?;
        let loss = self.loss.mean(&logits, &batch.labels, self.label_smoothing)?;
        self.totals.add(&logits, &loss, batch)?;
        let mut gradients = Tensor::f_run_backward(&[loss], self.model.tensors(), false, false)
            .map_err(LibtorchError::from)?;
        if let Some(norm) = self.clip_norm {
            clip(&mut gradients, norm)?;
        }
        let share = self.share();
        self.optimizer.step(self.model.tensors_mut(), &gradients, share)?;
        if let Some((decay, average)) = &mut self.ema {
            follow(average, self.model.tensors(), *decay)?;
        }
        Ok(())
    }

    /// The schedule's share of the learning rate for the next step.
    fn share(&self) -> f64 {
        self.schedule.share(self.optimizer.steps(), self.course)
    }

    /// The learning rate that the last step took.
    pub fn last_rate(&self) -> f64 {
        let last = self.optimizer.steps().saturating_sub(1);
        self.schedule.share(last, self.course) * self.optimizer.learning_rate()
    }

    /// Exchanges the weights for their average, if there is one; a second call takes that back.
    pub fn exchange_average(&mut self) {
        if let Some((_, average)) = &mut self.ema {
            for (weight, average) in self.model.tensors_mut().iter_mut().zip(average) {
                std::mem::swap(weight, average);
            }
        }
    }

    /// A copy of the weights' average on the host, by the parameters' names; empty without one.
    pub fn average(&self) -> Result<Tensors, LibtorchError> {
        self.named(self.ema.as_ref().map_or(&[], |(_, average)| average))
    }

    fn named(&self, tensors: &[Tensor]) -> Result<Tensors, LibtorchError> {
        let named = self.model.parameters().zip(tensors);
        named.map(|((name, _), t)| Ok((name.to_owned(), HostTensor::copy_of(t)?))).collect()
    }

    /// The first of the weights, their average and the optimiser's memory that holds a number that is
    /// not finite, and that number. This waits for the device.
    pub fn not_finite(&self) -> Result<Option<(&'static str, f64)>, LibtorchError> {
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

    /// The sums since the last [`set_sums`](Self::set_sums). This waits for the device.
    pub fn sums(&self) -> Result<Sums, LibtorchError> {
        let Totals { loss, correct, samples, .. } = &self.totals;
        let loss = loss.f_double_value(&[])?;
        Ok(Sums { loss, correct: correct.f_int64_value(&[])?, samples: *samples })
    }

    /// Begins anew from these sums.
    pub fn set_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        self.totals = Totals::new(self.model.device(), sums)?;
        Ok(())
    }

    /// How many of the steps since the last [`set_sums`](Self::set_sums) came before the first whose
    /// loss was not finite, if it is known. This waits for the device.
    pub fn finite_steps(&self) -> Result<Option<usize>, LibtorchError> {
        let steps = self.totals.finite_steps.as_ref();
        steps.map(|steps| Ok(steps.f_int64_value(&[])? as usize)).transpose()
    }

    /// Copies of the optimiser's moments on the host, by the parameters' names.
    pub fn moments(&self) -> Result<[Tensors; 2], LibtorchError> {
        let [first, second] = self.optimizer.moments();
        Ok([self.named(first)?, self.named(second)?])
    }

    /// Checks that these are tensors of this network and its optimiser after so many steps.
    pub fn check(
        &self,
        weights: &Tensors,
        average: &Tensors,
        moments: &[Tensors; 2],
        steps: u64,
    ) -> Result<(), WeightsError> {
        check_like(self.model, weights)?;
        let none = |tensors: &Tensors| match tensors.is_empty() {
            true => Ok(()),
            false => {
                let found = tensors.keys().cloned().collect();
                Err(WeightsError::Names { expected: Vec::new(), found })
            }
        };
        // Before the first step there is no average.
        match self.ema.is_some() && steps > 0 {
            true => check_like(self.model, average)?,
            false => none(average)?,
        }
        for (saved, own) in moments.iter().zip(self.optimizer.moments()) {
            match own.is_empty() {
                true => none(saved)?,
                false => check_like(self.model, saved)?,
            }
        }
        Ok(())
    }

    /// Overwrites weights, their average, moments and the count of steps; all are checked before the
    /// first is changed.
    pub fn restore(
        &mut self,
        weights: &Tensors,
        average: &Tensors,
        moments: &[Tensors; 2],
        steps: u64,
    ) -> Result<(), WeightsError> {
        self.check(weights, average, moments, steps)?;
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
        for (saved, own) in moments.iter().zip(self.optimizer.restore(steps)?) {
            for (name, tensor) in names.iter().zip(own) {
                if let Some(moment) = saved.get(name) {
                    moment.copy_into(tensor)?;
                }
            }
        }
        Ok(())
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
