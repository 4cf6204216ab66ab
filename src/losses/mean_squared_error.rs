//! The mean squared error, for numbers.

use tch::{Kind, Tensor};

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// The squared difference between outputs and targets, (y - t)², the mean over a sample's numbers (Keras:
/// `mean_squared_error`; PyTorch: `MSELoss`).
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanSquaredError;

impl LossKind for MeanSquaredError {
    fn name(&self) -> &'static str {
        "mean_squared_error"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        (targets == TargetKind::Numbers).then_some(count)
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Linear
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let values = outputs.f_sub(targets)?.f_square()?;
        Ok(values.f_mean_dim(&[-1i64][..], false, Kind::Float)?)
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["rmse"]
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for MeanSquaredError {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let RowTarget::Values(targets) = target else { return f64::NAN };
        let numbers = outputs.len() as f32;
        let mut sum = 0.0;
        for ((&output, &target), gradient) in outputs.iter().zip(targets).zip(gradient) {
            let error = output - target;
            sum += f64::from(error * error);
            *gradient = 2.0 * error / numbers;
        }
        sum / f64::from(numbers)
    }
}
