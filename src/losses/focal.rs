//! The focal loss, for classes of which some are rare or hard.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::config_error::ConfigError;
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// Cross-entropy that pays less attention to samples that are already predicted well: -alpha (1 - p)^gamma log p,
/// where p is the class's probability, the softmax of the outputs (Lin et al., *Focal Loss for Dense Object
/// Detection*, 2017; Keras: `CategoricalFocalCrossentropy`, whose alpha is 0.25 by default).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Focal {
    /// How much less the samples count that are predicted well, at least 0; with 0 it is the cross-entropy.
    pub gamma: f64,
    /// The factor of all values, above 0; none: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
}

/// The smallest 1 - p: its power has a derivative there for every gamma.
const SMALLEST: f64 = 1e-12;

impl Default for Focal {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: None }
    }
}

impl LossKind for Focal {
    fn name(&self) -> &'static str {
        "focal"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        (targets == TargetKind::Class).then_some(count)
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Softmax
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let log_p = outputs.f_log_softmax(-1, Kind::Float)?;
        let log_p = log_p.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        let others = log_p.f_expm1()?.f_neg()?.f_clamp_min(SMALLEST)?;
        let factor = others.f_pow_tensor_scalar(self.gamma)?;
        Ok(factor.f_mul(&log_p)?.f_mul_scalar(-self.alpha.unwrap_or(1.0))?)
    }

    fn check(&self) -> Result<(), ConfigError> {
        // A larger power of a probability vanishes in f32.
        let holds = (0.0..=100.0).contains(&self.gamma);
        ConfigError::unless(holds, "gamma of focal", "from 0 to 100", self.gamma)?;
        ConfigError::above_0("alpha of focal", self.alpha.unwrap_or(1.0))
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["accuracy"]
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for Focal {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let RowTarget::Class(class) = target else { return f64::NAN };
        let (gamma, alpha) = (self.gamma as f32, self.alpha.unwrap_or(1.0) as f32);
        let top = outputs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = 0.0;
        for (gradient, &output) in gradient.iter_mut().zip(outputs) {
            *gradient = (output - top).exp();
            total += *gradient;
        }
        let log_p = (outputs[class] - top) - total.ln();
        let (p, others) = (log_p.exp(), (-log_p.exp_m1()).max(SMALLEST as f32));
        let factor = alpha * others.powf(gamma);
        // d/dzⱼ = (pⱼ − [j is the class]) · slope, where slope = alpha (1 − p)^gamma · (1 − gamma p log p / (1 − p)).
        let slope = factor * (1.0 - gamma * p * log_p / others);
        gradient.iter_mut().for_each(|gradient| *gradient = *gradient / total * slope);
        gradient[class] -= slope;
        f64::from(-factor * log_p)
    }
}
