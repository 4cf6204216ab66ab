//! One training step by autograd: any network, any loss, any optimiser, any device.

use tch::{Device, Kind, Tensor};

use super::optimizer::{self, Optimizer};
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
        optimizer: Optimizer,
        loss: Loss,
        seed: u64,
    ) -> Result<Self, LibtorchError> {
        let device = model.device();
        let optimizer = optimizer::State::new(optimizer, model.tensors(), device)?;
        let totals = Totals::new(device, Sums::default())?;
        Ok(Self { model, optimizer, loss, seed, totals })
    }

    /// Forward, backward and the optimiser's step for one batch.
    pub fn run(&mut self, batch: &Batch) -> Result<(), ModelError> {
        let mode = Mode::Training { seed: self.seed, step: self.optimizer.steps() };
        let logits = self.model.forward(&batch.images, mode)?;
        let loss = self.loss.mean(&logits, &batch.labels)?;
        self.totals.add(&logits, &loss, batch)?;
        let gradients = Tensor::f_run_backward(&[loss], self.model.tensors(), false, false)
            .map_err(LibtorchError::from)?;
        Ok(self.optimizer.step(self.model.tensors_mut(), &gradients)?)
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
        let copy = |moments: &[Tensor]| -> Result<Tensors, LibtorchError> {
            let named = self.model.parameters().zip(moments);
            named.map(|((name, _), m)| Ok((name.to_owned(), HostTensor::copy_of(m)?))).collect()
        };
        let [first, second] = self.optimizer.moments();
        Ok([copy(first)?, copy(second)?])
    }

    /// Overwrites weights, moments and the count of steps; all are checked before the first is
    /// changed.
    pub fn restore(
        &mut self,
        weights: &Tensors,
        moments: &[Tensors; 2],
        steps: u64,
    ) -> Result<(), WeightsError> {
        check_like(self.model, weights)?;
        for (saved, own) in moments.iter().zip(self.optimizer.moments()) {
            match (own.is_empty(), saved.is_empty()) {
                (true, true) => {}
                (true, false) => {
                    let found = saved.keys().cloned().collect();
                    return Err(WeightsError::Names { expected: Vec::new(), found });
                }
                (false, _) => check_like(self.model, saved)?,
            }
        }
        self.model.set_weights(weights)?;
        let names: Vec<String> = self.model.parameters().map(|(name, _)| name.to_owned()).collect();
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
