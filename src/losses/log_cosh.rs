//! The logarithm of the hyperbolic cosine of the error, for numbers with outliers.

use tch::{Kind, Tensor};

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// log cosh(e) of the error e = y - t, about e² / 2 near 0 and |e| - log 2 far from it, the mean over a sample's numbers
/// (Keras: `log_cosh`). Computed as |e| + log(1 + (exp(-2 |e|) - 1) / 2): no exponential overflows, and small errors are
/// not lost beside log 2.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogCosh;

impl LossKind for LogCosh {
    fn name(&self) -> &str {
        "log_cosh"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        (targets == TargetKind::Numbers).then_some(count)
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Linear
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let size = outputs.f_sub(targets)?.f_abs()?;
        let half = size.f_mul_scalar(-2.0)?.f_expm1()?.f_mul_scalar(0.5)?;
        let values = size.f_add(&half.f_log1p()?)?;
        Ok(values.f_mean_dim(&[-1i64][..], false, Kind::Float)?)
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["mae"]
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for LogCosh {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let RowTarget::Values(targets) = target else { return f64::NAN };
        let numbers = outputs.len() as f32;
        let mut sum = 0.0;
        for ((&output, &target), gradient) in outputs.iter().zip(targets).zip(gradient) {
            let error = output - target;
            let size = f64::from(error.abs());
            sum += size + (0.5 * (-2.0 * size).exp_m1()).ln_1p();
            *gradient = error.tanh() / numbers;
        }
        sum / f64::from(numbers)
    }
}
