//! The predictions and targets that metrics need, collected batch by batch and over ranks.

use tch::{Kind, Tensor};

use crate::data::{TargetKind, Targets};
use crate::group::{Group, GroupError};
use crate::native::LibtorchError;

/// Predictions, \[samples, outputs\] row by row, and their targets.
pub(crate) type Predicted = (Vec<f32>, Targets);

/// Predictions and targets of some samples on the host, both row by row.
#[derive(Debug, Default)]
pub(super) struct Kept {
    predictions: Vec<f32>,
    targets: Vec<f32>,
}

impl Kept {
    /// Appends a batch.
    pub fn append(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), LibtorchError> {
        for (tensor, values) in [(predictions, &mut self.predictions), (targets, &mut self.targets)]
        {
            let tensor = tensor.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?;
            let begin = values.len();
            values.resize(begin + tensor.numel(), 0.0);
            tensor.f_contiguous()?.f_copy_data(&mut values[begin..], tensor.numel())?;
        }
        Ok(())
    }

    /// Returns those of all ranks, in the order of the samples.
    pub fn gathered(self, group: &dyn Group) -> Result<Self, GroupError> {
        if group.size() == 1 {
            return Ok(self);
        }
        let all = |values: &[f32]| -> Result<Vec<f32>, GroupError> {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let parts = group.all_gather(&bytes)?;
            let values = parts.iter().flat_map(|part| part.chunks_exact(size_of::<f32>()));
            Ok(values.filter_map(|b| b.first_chunk()).map(|b| f32::from_le_bytes(*b)).collect())
        };
        Ok(Self { predictions: all(&self.predictions)?, targets: all(&self.targets)? })
    }

    /// Returns one prediction for each name, and the targets.
    pub fn finish(mut self, targets: TargetKind, names: &[String]) -> Predicted {
        let small = || self.targets.iter().map(|&value| value as u8).collect::<Vec<_>>();
        let samples = self.predictions.len();
        let targets = match targets {
            TargetKind::Class => Targets::classes(small(), names),
            TargetKind::Labels => Targets::labels(small(), names),
            TargetKind::Numbers => Targets::numbers(std::mem::take(&mut self.targets), names),
        };
        // Of two classes with one output, that is the probability of the second.
        if targets.kind().is_class() && names.len() == 2 && targets.len() == samples {
            self.predictions = self.predictions.iter().flat_map(|&p| [1.0 - p, p]).collect();
        }
        (self.predictions, targets)
    }
}
