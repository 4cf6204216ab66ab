//! What turns a network's outputs into predictions.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::native::LibtorchError;

/// What turns the outputs of the last layer into predictions. The loss decides it: the layers end before it, since
/// losses are computed from the outputs, for numerical stability.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputActivation {
    /// exp(xᵢ) / Σ exp(xⱼ): probabilities of classes that exclude each other.
    #[default]
    Softmax,
    /// 1 / (1 + exp(-x)): a probability for each output.
    Sigmoid,
    /// x: numbers, as they are.
    Linear,
}

impl OutputActivation {
    /// Returns Keras's name: "softmax".
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Sigmoid => "sigmoid",
            Self::Linear => "linear",
        }
    }

    /// Returns whether it is the default, which is not saved.
    pub fn is_softmax(&self) -> bool {
        *self == Self::Softmax
    }

    /// Returns a prediction with one value for each of `names` classes or labels: of two classes with one output, which
    /// is the probability of the second, that of both.
    pub fn by_name(self, prediction: Vec<f32>, names: usize) -> Vec<f32> {
        match (self, &prediction[..], names) {
            (Self::Sigmoid, &[second], 2) => vec![1.0 - second, second],
            _ => prediction,
        }
    }

    /// Applies it to outputs [batch, outputs].
    pub(crate) fn forward(self, outputs: &Tensor) -> Result<Tensor, LibtorchError> {
        Ok(match self {
            Self::Softmax => outputs.f_softmax(-1, Kind::Float)?,
            Self::Sigmoid => outputs.f_sigmoid()?,
            Self::Linear => outputs.shallow_clone(),
        })
    }
}
