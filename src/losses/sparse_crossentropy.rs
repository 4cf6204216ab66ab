//! Cross-entropy with class numbers as targets.

use tch::{Reduction, Tensor};

use super::loss_kind::{LossKind, RowLoss, RowTarget};
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// The cross-entropy between the targets and the softmax of the outputs, -log p(y) with p = softmax(z), in nats
/// (Keras: `sparse_categorical_crossentropy`).
///
/// With label smoothing ε the target is (1 - ε) of the class plus ε spread evenly over all classes (Szegedy and
/// others, 2016; `torch.nn.functional.cross_entropy`'s label_smoothing).
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCrossentropy {
    pub(super) label_smoothing: f64,
}

impl SparseCrossentropy {
    fn reduced(
        self,
        outputs: &Tensor,
        targets: &Tensor,
        reduction: Reduction,
    ) -> Result<Tensor, LibtorchError> {
        // The default of `ignore_index`, which is never a class here.
        let ignored = -100;
        let smoothing = self.label_smoothing;
        Ok(outputs.f_cross_entropy_loss::<&Tensor>(targets, None, reduction, ignored, smoothing)?)
    }
}

impl LossKind for SparseCrossentropy {
    fn name(&self) -> &'static str {
        "sparse"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        (targets == TargetKind::Class).then_some(count)
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Softmax
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        self.reduced(outputs, targets, Reduction::None)
    }

    fn mean(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        self.reduced(outputs, targets, Reduction::Mean)
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

impl RowLoss for SparseCrossentropy {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let RowTarget::Class(class) = target else { return f64::NAN };
        let kept = (1.0 - self.label_smoothing) as f32;
        let spread = match self.label_smoothing {
            0.0 => 0.0,
            smoothing => (smoothing / outputs.len() as f64) as f32,
        };
        // A NaN that this misses is in the total.
        let higher = |top: f32, &output: &f32| if output > top { output } else { top };
        let top = outputs.iter().fold(f32::NEG_INFINITY, higher);
        let mut total = 0.0;
        for (gradient, &output) in gradient.iter_mut().zip(outputs) {
            *gradient = (output - top).exp();
            total += *gradient;
        }
        // −log p(class) = log Σ exp(z − top) + (top − z), in this order: large outputs would leave nothing
        // of the first term.
        let log_total = total.ln();
        let mut loss = f64::from(kept * ((top - outputs[class]) + log_total));
        if spread > 0.0 {
            let all: f32 = outputs.iter().map(|output| (top - output) + log_total).sum();
            loss += f64::from(spread * all);
        }
        // p − target comes first, and then, in the engine, the mean. Rounded the other way round, the
        // target's fraction would be off by the same bit in every row, and a sum over rows that nearly
        // cancels out would be off by all of them.
        gradient.iter_mut().for_each(|gradient| *gradient = *gradient / total - spread);
        gradient[class] -= kept;
        loss
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torch.nn.functional.cross_entropy in float64 of outputs [top, top - gap] and class 0.
    #[test]
    fn large_outputs_leave_small_losses() {
        for (top, gap, expected) in
            [(20.0, 14.0, 8.315283757e-7), (40.0, 13.0, 2.260326991e-6), (1e6, 3.0, 4.858735157e-2)]
        {
            let mut gradient = [0.0; 2];
            let loss = SparseCrossentropy::default();
            let loss = loss.row(&[top, top - gap], RowTarget::Class(0), &mut gradient);
            // One unit of an f32's last place near 1, which the sum of exponentials is rounded to.
            assert!((loss - expected).abs() < 1.2e-7, "{loss} for {expected}");
        }
    }
}
