//! Cross-entropy of yes and no: two classes with one output, or several labels at once.

use tch::{Kind, Tensor};

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// The cross-entropy between targets of 0 or 1 and the sigmoid of the outputs, -t log p - (1 - t) log(1 - p), in
/// nats, the mean over a sample's labels (Keras: `binary_crossentropy` from logits; PyTorch: `BCEWithLogitsLoss`).
///
/// Of two classes the second one is 1, and the network has one output. With label smoothing ε the targets are ε / 2
/// and 1 - ε / 2, as in Keras.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossentropy {
    label_smoothing: f64,
}

impl LossKind for BinaryCrossentropy {
    fn name(&self) -> &'static str {
        "binary_crossentropy"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        match (targets, count) {
            (TargetKind::Class, 2) => Some(1),
            (TargetKind::Labels, labels) => Some(labels),
            _ => None,
        }
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Sigmoid
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let targets = targets.f_view_as(outputs)?.f_to_kind(Kind::Float)?;
        let targets = match self.label_smoothing {
            0.0 => targets,
            smoothing => targets.f_mul_scalar(1.0 - smoothing)?.f_add_scalar(0.5 * smoothing)?,
        };
        // (1 − t) z − log sigmoid(z): no exponential overflows. With max(z, 0) and |z| instead, autograd's derivative at
        // z = 0, of an output whose inputs are all 0, would not be sigmoid(0) − t.
        let rest = outputs.f_log_sigmoid()?;
        let values = outputs.f_sub(&outputs.f_mul(&targets)?)?.f_sub(&rest)?;
        Ok(values.f_mean_dim(&[-1i64][..], false, Kind::Float)?)
    }

    fn smoothed(&self, label_smoothing: f64) -> Option<Box<dyn LossKind>> {
        Some(Box::new(Self { label_smoothing }))
    }

    fn metrics(&self) -> &'static [&'static str] {
        &["accuracy"]
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for BinaryCrossentropy {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let smoothing = self.label_smoothing as f32;
        let labels = outputs.len() as f32;
        let mut sum = 0.0;
        for (i, (&output, gradient)) in outputs.iter().zip(gradient).enumerate() {
            let target = match target {
                RowTarget::Class(class) => class as f32,
                RowTarget::Values(values) => values[i],
            };
            let target = target * (1.0 - smoothing) + 0.5 * smoothing;
            let small = (-output.abs()).exp();
            sum += f64::from(output.max(0.0) - output * target + small.ln_1p());
            let sigmoid = if output < 0.0 { small } else { 1.0 } / (1.0 + small);
            *gradient = (sigmoid - target) / labels;
        }
        sum / f64::from(labels)
    }
}
