//! Sums over the samples of steps, on the device that computes them.

use tch::{Device, Kind, Tensor};

use super::autograd_step::StepOutput;
use crate::losses::Correct;
use crate::native::LibtorchError;
use crate::train::snapshot::Sums;

/// Sums over the samples of the steps so far, in 64 bits, so that no sample is lost to rounding.
pub(super) struct MetricSums {
    loss: Tensor,
    correct: Tensor,
    rule: Correct,
    samples: usize,
    /// Steps before the first non-finite loss. Counted only on devices where reading back each loss would
    /// stop the device.
    finite_steps: Option<Tensor>,
}

impl MetricSums {
    /// Returns metric sums that begin with `sums`.
    pub fn new(device: Device, sums: Sums, rule: Correct) -> Result<Self, LibtorchError> {
        let (double, int) = ((Kind::Double, device), (Kind::Int64, device));
        let finite_steps = match device {
            Device::Cpu => None,
            _ => Some(Tensor::f_zeros([0i64; 0], int)?),
        };
        let (loss, correct) =
            (Tensor::f_zeros([0i64; 0], double)?, Tensor::f_zeros([0i64; 0], int)?);
        let mut this = Self { loss, correct, rule, samples: 0, finite_steps };
        this.set(sums)?;
        Ok(this)
    }

    /// Continues from these sums, in the same tensors.
    pub fn set(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        let _ = self.loss.f_fill_(sums.loss)?;
        let _ = self.correct.f_fill_(sums.correct)?;
        self.samples = sums.samples;
        if let Some(finite_steps) = &mut self.finite_steps {
            let _ = finite_steps.f_fill_(0)?;
        }
        Ok(())
    }

    /// Counts samples that [`add`](Self::add) has added on the device.
    pub fn count(&mut self, samples: usize) {
        self.samples += samples;
    }

    /// Adds one or more steps with the same number of samples: the targets of all, and their outputs. This runs on the device alone, always in the same tensors, so that it can be recorded.
    pub fn add(&mut self, targets: &Tensor, steps: &[StepOutput]) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        let samples = targets.size().first().copied().unwrap_or(0);
        let losses: Vec<&Tensor> = steps.iter().map(|step| &step.loss).collect();
        let losses = Tensor::f_stack(&losses, 0)?.f_to_kind(Kind::Double)?;
        let mut each = match losses.dim() {
            1 => losses.f_mul_scalar(samples as f64 / steps.len().max(1) as f64)?,
            _ => losses.f_sum_dim_intlist(&[1i64][..], false, Kind::Double)?,
        };
        let sums = each.f_cumsum_(0, Kind::Double)?.f_add_(&self.loss)?;
        let logits: Vec<&Tensor> = steps.iter().map(|step| &step.logits).collect();
        let _ = self.correct.f_add_(&self.rule.count(&Tensor::f_cat(&logits, 0)?, targets)?)?;
        if let Some(finite_steps) = &mut self.finite_steps {
            // A sum that has become NaN or infinite remains so.
            let _ = finite_steps.f_add_(&sums.f_isfinite()?.f_sum(Kind::Int64)?)?;
        }
        self.loss.f_copy_(&sums.f_select(0, -1)?)?;
        Ok(())
    }

    /// Adds a step whose sums are known.
    pub fn add_sums(&mut self, sums: Sums) -> Result<(), LibtorchError> {
        let _no_grad = tch::no_grad_guard();
        self.loss = self.loss.f_add_scalar(sums.loss)?;
        self.correct = self.correct.f_add_scalar(sums.correct)?;
        self.samples += sums.samples;
        if let Some(finite_steps) = &mut self.finite_steps {
            let _ = finite_steps.f_add_(&self.loss.f_isfinite()?.f_to_kind(Kind::Int64)?)?;
        }
        Ok(())
    }

    /// Returns the sums. This waits for the device.
    pub fn read(&self) -> Result<Sums, LibtorchError> {
        let loss = self.loss.f_double_value(&[])?;
        Ok(Sums { loss, correct: self.correct.f_int64_value(&[])?, samples: self.samples })
    }

    /// Returns the number of steps before the first non-finite loss, if it is counted. This waits for the
    /// device.
    pub fn finite_steps(&self) -> Result<Option<usize>, LibtorchError> {
        let steps = self.finite_steps.as_ref();
        steps.map(|steps| Ok(steps.f_int64_value(&[])? as usize)).transpose()
    }
}
