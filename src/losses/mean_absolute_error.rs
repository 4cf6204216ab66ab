//! The mean absolute error, for numbers.

use tch::{Kind, Tensor};

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// The absolute difference between outputs and targets, |y - t|, the mean over a sample's numbers (Keras:
/// `mean_absolute_error`; PyTorch: `L1Loss`). Its derivative where both are equal is 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanAbsoluteError;

impl LossKind for MeanAbsoluteError {
    fn name(&self) -> &'static str {
        "mean_absolute_error"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        (targets == TargetKind::Numbers).then_some(count)
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Linear
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let values = outputs.f_sub(targets)?.f_abs()?;
        Ok(values.f_mean_dim(&[-1i64][..], false, Kind::Float)?)
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["mae"]
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for MeanAbsoluteError {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let RowTarget::Values(targets) = target else { return f64::NAN };
        let numbers = outputs.len() as f32;
        let mut sum = 0.0;
        for ((&output, &target), gradient) in outputs.iter().zip(targets).zip(gradient) {
            let error = output - target;
            sum += f64::from(error.abs());
            let sign = if error == 0.0 { 0.0 } else { error.signum() };
            *gradient = sign / numbers;
        }
        sum / f64::from(numbers)
    }
}
