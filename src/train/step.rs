//! One training step by autograd: any network, any loss, any optimiser, any device.

use tch::{Device, Kind, Tensor};

use super::optimizer::{Optimizer, State};
use crate::data::batches::Batch;
use crate::loss::Loss;
use crate::model::{Mode, ModelError, Sequential};
use crate::native::LibtorchError;

/// Trains a network batch by batch and keeps the sums of what it saw, on the device.
pub(super) struct Step<'m> {
    model: &'m mut Sequential,
    state: State,
    loss: Loss,
    seed: u64,
    /// Steps taken, over all epochs.
    taken: u64,
    totals: Totals,
}

/// Sums over the samples of the steps so far: 64 bit, so that no sample is lost to rounding.
struct Totals {
    loss: Tensor,
    correct: Tensor,
    samples: usize,
}

impl<'m> Step<'m> {
    pub fn new(
        model: &'m mut Sequential,
        optimizer: Optimizer,
        loss: Loss,
        seed: u64,
    ) -> Result<Self, LibtorchError> {
        let device = model.device();
        let state = State::new(optimizer, model.tensors(), device)?;
        Ok(Self { model, state, loss, seed, taken: 0, totals: Totals::new(device)? })
    }

    pub fn model(&self) -> &Sequential {
        self.model
    }

    /// Forward, backward and the optimiser's step for one batch.
    pub fn run(&mut self, batch: &Batch) -> Result<(), ModelError> {
        let mode = Mode::Training { seed: self.seed, step: self.taken };
        let logits = self.model.forward(&batch.images, mode)?;
        let loss = self.loss.mean(&logits, &batch.labels)?;
        self.totals.add(&logits, &loss, batch)?;
        let gradients = Tensor::f_run_backward(&[loss], self.model.tensors(), false, false)
            .map_err(LibtorchError::from)?;
        self.state.step(self.model.tensors_mut(), &gradients)?;
        self.taken += 1;
        Ok(())
    }

    /// Mean loss and accuracy since the last call: the one time that the device is waited for.
    pub fn take_means(&mut self) -> Result<(f64, f64), LibtorchError> {
        let fresh = Totals::new(self.model.device())?;
        let Totals { loss, correct, samples } = std::mem::replace(&mut self.totals, fresh);
        let samples = samples as f64;
        Ok((loss.f_double_value(&[])? / samples, correct.f_double_value(&[])? / samples))
    }
}

impl Totals {
    fn new(device: Device) -> Result<Self, LibtorchError> {
        let loss = Tensor::f_zeros([0i64; 0], (Kind::Double, device))?;
        let correct = Tensor::f_zeros([0i64; 0], (Kind::Int64, device))?;
        Ok(Self { loss, correct, samples: 0 })
    }

    fn add(&mut self, logits: &Tensor, loss: &Tensor, batch: &Batch) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        let samples = batch.labels.size().first().copied().unwrap_or(0);
        let _ = self.loss.f_add_(&loss.f_to_kind(Kind::Double)?.f_mul_scalar(samples)?)?;
        let right = logits.f_argmax(-1, false)?.f_eq_tensor(&batch.labels)?;
        let _ = self.correct.f_add_(&right.f_sum(Kind::Int64)?)?;
        self.samples += samples as usize;
        Ok(())
    }
}
