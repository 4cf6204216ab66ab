//! The layers that a [`Sequential`](crate::Sequential) network is made of, as plain descriptions.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::native::LibtorchError;

/// One layer's description; its parameters are in the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Layer {
    /// See [`Flatten`].
    Flatten,
    /// See [`Dense`].
    Dense(Dense),
    /// See [`Dropout`].
    Dropout(Dropout),
}

/// Turns each sample into a vector: [batch, a, b, …] → [batch, a·b·…].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flatten;

/// A fully connected layer: y = activation(x Wᵀ + b), [batch, inputs] → [batch, units].
///
/// W is [units, inputs], like in `torch.nn.Linear` (Keras's kernel is its transpose), drawn
/// from the Glorot uniform distribution; b has one value per unit and starts at zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Outputs, at least 1.
    pub units: usize,
    /// The activation applied to each output.
    pub activation: Activation,
}

impl Dense {
    /// Returns a layer of `units` outputs without an activation.
    pub fn new(units: usize) -> Self {
        Self { units, activation: Activation::Linear }
    }

    /// Returns the same layer with this activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }
}

/// While training, sets each value to zero with probability `rate` and scales the others by
/// 1 / (1 - rate); otherwise does nothing (Srivastava et al., 2014, in the inverted form that Keras
/// and PyTorch use).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// The fraction that is dropped: 0 ≤ rate < 1.
    pub rate: f64,
}

impl Dropout {
    /// Returns a layer that drops this fraction of its inputs.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl From<Flatten> for Layer {
    fn from(_: Flatten) -> Self {
        Self::Flatten
    }
}

impl From<Dense> for Layer {
    fn from(dense: Dense) -> Self {
        Self::Dense(dense)
    }
}

impl From<Dropout> for Layer {
    fn from(dropout: Dropout) -> Self {
        Self::Dropout(dropout)
    }
}

/// The activation of a [`Dense`] layer, by Keras's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// x
    #[default]
    Linear,
    /// max(x, 0)
    Relu,
    /// x Φ(x) with the exact normal distribution function (Hendrycks and Gimpel, 2016)
    Gelu,
    /// x sigmoid(x), also called swish
    Silu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// exp(xᵢ) / Σ exp(xⱼ); only on the last layer. The loss uses the logits before it, for numerical
    /// stability; `predict` and the exported model apply it.
    Softmax,
}

impl Activation {
    /// All activations, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Linear,
        Self::Relu,
        Self::Gelu,
        Self::Silu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Softmax,
    ];

    /// Returns Keras's name: "relu".
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softmax => "softmax",
        }
    }

    /// Applies the activation to a layer's outputs. Softmax passes them through: the network's own outputs are its
    /// logits, and probabilities are computed from them where they are needed.
    pub(crate) fn forward(self, x: Tensor) -> Result<Tensor, LibtorchError> {
        Ok(match self {
            Self::Linear | Self::Softmax => x,
            Self::Relu => x.f_relu()?,
            Self::Gelu => x.f_gelu("none")?,
            Self::Silu => x.f_silu()?,
            Self::Tanh => x.f_tanh()?,
            Self::Sigmoid => x.f_sigmoid()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `torch.nn.functional` on [-1.5, 0.0, 0.7], PyTorch 2.13, printed with 7 decimals.
    #[test]
    fn activations_match_pytorch() -> Result<(), LibtorchError> {
        let cases = [
            (Activation::Linear, [-1.5, 0.0, 0.7]),
            (Activation::Relu, [0.0, 0.0, 0.7]),
            (Activation::Gelu, [-0.1002108, 0.0, 0.5306249]),
            (Activation::Silu, [-0.2736383, 0.0, 0.4677316]),
            (Activation::Tanh, [-0.9051483, 0.0, 0.6043678]),
            (Activation::Sigmoid, [0.1824255, 0.5, 0.6681878]),
        ];
        for (activation, expected) in cases {
            let y = activation.forward(Tensor::from_slice(&[-1.5f32, 0.0, 0.7]))?;
            for (i, expected) in expected.into_iter().enumerate() {
                let got = y.double_value(&[i as i64]);
                assert!((got - expected).abs() < 1e-6, "{activation:?}: {got} for {expected}");
            }
        }
        Ok(())
    }
}
