//! The loss: cross-entropy, with targets in either of Keras's two forms.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use crate::native::LibtorchError;

/// The cross-entropy between the targets and the softmax of the logits, −(1/n) Σᵢ log p(yᵢ) with p =
/// softmax(zᵢ), in nats. Both variants give the same values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Targets are class numbers (Keras: `sparse_categorical_crossentropy`).
    #[default]
    Sparse,
    /// Targets are one-hot vectors (Keras: `categorical_crossentropy`).
    Categorical,
}

impl Loss {
    /// Returns the mean cross-entropy of a batch: logits [batch, classes], labels i64 [batch]. With a
    /// `smoothing` ε, the target is (1 − ε) of the label plus ε spread evenly over all classes (Szegedy and
    /// others, 2016; `torch.nn.functional.cross_entropy`'s label_smoothing).
    pub(crate) fn mean(
        self,
        logits: &Tensor,
        labels: &Tensor,
        smoothing: f64,
    ) -> Result<Tensor, LibtorchError> {
        Ok(match self {
            Self::Sparse => logits.f_cross_entropy_loss::<&Tensor>(
                labels,
                None,
                Reduction::Mean,
                // The default of `ignore_index`, which is never a label here.
                -100,
                smoothing,
            )?,
            Self::Categorical => {
                let classes = logits.size().last().copied().unwrap_or(0);
                let one_hot = labels.f_one_hot(classes)?.f_to_kind(Kind::Float)?;
                let one_hot = match smoothing {
                    0.0 => one_hot,
                    _ => one_hot
                        .f_mul_scalar(1.0 - smoothing)?
                        .f_add_scalar(smoothing / classes as f64)?,
                };
                let log_probability = logits.f_log_softmax(-1, Kind::Float)?;
                // −Σ over the classes, mean over the samples.
                (log_probability.f_mul(&one_hot)?)
                    .f_sum_dim_intlist(&[-1i64][..], false, Kind::Float)?
                    .f_mean(Kind::Float)?
                    .f_neg()?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// torch.nn.functional.cross_entropy of [[1, 2, 3], [1, 0, -1]] with targets [2, 1], PyTorch
    /// 2.13: 0.9076059, with label_smoothing=0.1 0.9576059.
    #[test]
    fn both_losses_and_their_gradients_are_the_same() -> Result<(), LibtorchError> {
        let labels = Tensor::from_slice(&[2i64, 1]);
        let run = |loss: Loss, smoothing| -> Result<(f64, Tensor), LibtorchError> {
            let logits = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 1.0, 0.0, -1.0]).reshape([2, 3]);
            let logits = logits.to_device(Device::Cpu).set_requires_grad(true);
            let mean = loss.mean(&logits, &labels, smoothing)?;
            mean.f_backward()?;
            Ok((mean.f_double_value(&[])?, logits.f_grad()?))
        };
        for (smoothing, expected) in [(0.0, 0.9076059), (0.1, 0.9576059)] {
            let (sparse, a) = run(Loss::Sparse, smoothing)?;
            let (categorical, b) = run(Loss::Categorical, smoothing)?;
            assert!((sparse - expected).abs() < 1e-6, "{sparse}");
            assert!((sparse - categorical).abs() < 1e-6);
            assert!(a.allclose(&b, 1e-5, 1e-7, false));
        }
        Ok(())
    }
}
