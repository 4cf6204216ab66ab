//! The Huber loss, for numbers with outliers.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::config_error::ConfigError;
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// Half the squared error up to an absolute error e of `delta`, and delta (|e| - delta / 2) beyond, the mean over a
/// sample's numbers (Huber, 1964; PyTorch: `HuberLoss`; Keras: `huber`, with the same values).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Huber {
    /// The error from which on the loss grows linearly, above 0.
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

impl LossKind for Huber {
    fn name(&self) -> &'static str {
        "huber"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        (targets == TargetKind::Numbers).then_some(count)
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Linear
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let values = outputs.f_huber_loss(targets, Reduction::None, self.delta)?;
        Ok(values.f_mean_dim(&[-1i64][..], false, Kind::Float)?)
    }

    fn check(&self) -> Result<(), ConfigError> {
        // The gradient is at most delta: a smaller one vanishes beside an optimizer's epsilon.
        let holds = self.delta >= 1e-6;
        ConfigError::unless_fits(holds, "delta of huber", "at least 0.000001", self.delta)
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["mae"]
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for Huber {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let RowTarget::Values(targets) = target else { return f64::NAN };
        let (numbers, delta) = (outputs.len() as f32, self.delta as f32);
        let mut sum = 0.0;
        for ((&output, &target), gradient) in outputs.iter().zip(targets).zip(gradient) {
            let error = output - target;
            let slope = error.clamp(-delta, delta);
            // Within delta this is error² / 2, beyond it delta (|error| − delta / 2).
            sum += f64::from(slope * (error - 0.5 * slope));
            *gradient = slope / numbers;
        }
        sum / f64::from(numbers)
    }
}
