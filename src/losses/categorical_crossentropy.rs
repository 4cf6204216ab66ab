//! Cross-entropy with one-hot vectors as targets.

use tch::{Kind, Tensor};

use super::loss_kind::{LossKind, RowLoss};
use super::sparse_crossentropy::SparseCrossentropy;
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// The same values as [`SparseCrossentropy`], computed from one-hot vectors, which are made of the class numbers
/// (Keras: `categorical_crossentropy`).
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalCrossentropy(SparseCrossentropy);

impl LossKind for CategoricalCrossentropy {
    fn name(&self) -> &'static str {
        "categorical"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        self.0.outputs_for(targets, count)
    }

    fn output_activation(&self) -> OutputActivation {
        self.0.output_activation()
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        Ok(self.negated(outputs, targets)?.f_neg()?)
    }

    fn mean(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        // The sign last, as ever: trained weights keep their bits.
        Ok(self.negated(outputs, targets)?.f_mean(Kind::Float)?.f_neg()?)
    }

    fn smoothed(&self, label_smoothing: f64) -> Option<Box<dyn LossKind>> {
        Some(Box::new(Self(SparseCrossentropy { label_smoothing })))
    }

    fn metrics(&self) -> &'static [&'static str] {
        self.0.metrics()
    }

    fn rows(&self) -> Option<&dyn RowLoss> {
        self.0.rows()
    }
}

impl CategoricalCrossentropy {
    /// Returns Σ target · log p over the classes of each sample.
    fn negated(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let classes = outputs.size().last().copied().unwrap_or(0);
        let one_hot = targets.f_one_hot(classes)?.f_to_kind(Kind::Float)?;
        let one_hot = match self.0.label_smoothing {
            0.0 => one_hot,
            smoothing => {
                one_hot.f_mul_scalar(1.0 - smoothing)?.f_add_scalar(smoothing / classes as f64)?
            }
        };
        let log_probability = outputs.f_log_softmax(-1, Kind::Float)?;
        let products = log_probability.f_mul(&one_hot)?;
        Ok(products.f_sum_dim_intlist(&[-1i64][..], false, Kind::Float)?)
    }
}
