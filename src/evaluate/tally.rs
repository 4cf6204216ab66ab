//! The contribution of some samples to loss and confusion matrix: computed here, exchanged between ranks.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::EvaluateError;
use super::kept_predictions::Kept;
use crate::data::batches::DataLoader;
use crate::losses::Loss;
use crate::model::Sequential;
use crate::native::LibtorchError;

/// The contribution of some samples to the metrics of a data set.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The sum of the losses.
    pub loss: f64,
    /// The confusion matrix, row by row.
    pub counts: Vec<u64>,
}

impl Tally {
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = std::iter::once(self.loss.to_bits()).chain(self.counts.iter().copied());
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    pub fn of(bytes: &[u8]) -> Self {
        let numbers = bytes.chunks_exact(size_of::<u64>()).filter_map(|part| part.first_chunk());
        let mut numbers = numbers.map(|&number| u64::from_le_bytes(number));
        let loss = numbers.next().map_or(0.0, f64::from_bits);
        Self { loss, counts: numbers.collect() }
    }

    pub fn with(mut self, other: &Self) -> Self {
        self.loss += other.loss;
        self.counts.resize(other.counts.len().max(self.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self
    }
}

impl Sequential {
    /// Computes the contribution of some of the samples to loss and confusion matrix, the latter if `is_counted`,
    /// and appends predictions and targets to `kept`.
    pub(super) fn tally(
        &self,
        feed: &DataLoader,
        part: Range<usize>,
        loss: &Loss,
        is_counted: bool,
        mut kept: Option<&mut Kept>,
    ) -> Result<Tally, EvaluateError> {
        let _no_grad = tch::no_grad_guard();
        let kind = loss.kind();
        let activation = kind.output_activation();
        let classes = if is_counted { self.outputs() as i64 } else { 0 };
        let (int, double) = ((Kind::Int64, self.device()), (Kind::Double, self.device()));
        let mut loss = Tensor::f_zeros([0i64; 0], double).map_err(LibtorchError::from)?;
        let mut counts = Tensor::f_zeros([classes * classes], int).map_err(LibtorchError::from)?;
        self.for_each_batch_of(feed, part, |logits, targets| {
            let samples = targets.size().first().copied().unwrap_or(0);
            let mean = kind.mean(logits, &self.loss_targets(targets)?)?.f_to_kind(Kind::Double)?;
            let sum = mean.f_mul_scalar(samples)?;
            if let Some(kept) = &mut kept {
                kept.append(&self.prediction_with(activation, logits)?, targets)?;
            }
            if is_counted {
                let cell = targets.f_mul_scalar(classes)?.f_add_(&logits.f_argmax(-1, false)?)?;
                // Not bincount, which on a GPU would wait for the device at every batch.
                let _ = counts.f_index_add_(0, &cell, &cell.f_ones_like()?)?;
            }
            let _ = loss.f_add_(&sum)?;
            Ok(())
        })?;
        let mut flat = vec![0i64; (classes * classes) as usize];
        let counted = counts.f_to_device(tch::Device::Cpu).and_then(|counts| {
            counts.f_copy_data(&mut flat, (classes * classes) as usize)?;
            loss.f_double_value(&[])
        });
        let loss = counted.map_err(LibtorchError::from)?;
        Ok(Tally { loss, counts: flat.iter().map(|&count| count as u64).collect() })
    }
}
