//! Activations: functions of single values, and softmax.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::module::{Module, OnnxAttribute, OnnxInput, OnnxNode};
use crate::native::LibtorchError;

/// An activation function, by Keras's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor, LibtorchError> {
        Ok(match self {
            Self::Linear | Self::Softmax => x.shallow_clone(),
            Self::Relu => x.f_relu()?,
            Self::Gelu => x.f_gelu("none")?,
            Self::Silu => x.f_silu()?,
            Self::Tanh => x.f_tanh()?,
            Self::Sigmoid => x.f_sigmoid()?,
        })
    }

    /// Returns the module that applies it.
    pub(crate) fn module(self) -> Module {
        let (torch, script) = match self {
            Self::Linear => ("nn.Identity()", "x"),
            Self::Relu => ("nn.ReLU()", "torch.relu(x)"),
            Self::Gelu => ("nn.GELU()", "torch.gelu(x)"),
            Self::Silu => ("nn.SiLU()", "torch.silu(x)"),
            Self::Tanh => ("nn.Tanh()", "torch.tanh(x)"),
            Self::Sigmoid => ("nn.Sigmoid()", "torch.sigmoid(x)"),
            Self::Softmax => ("nn.Softmax(dim=-1)", "torch.softmax(x, -1)"),
        };
        Module {
            torch: torch.to_owned(),
            script: script.to_owned(),
            onnx: self.onnx(),
            keras: Some(format!("layers.Activation({:?})", self.name())),
            ..Module::default()
        }
    }

    fn onnx(self) -> Vec<OnnxNode> {
        use OnnxInput::{Last, Number, X};
        let one = |operator| vec![OnnxNode::new(operator, [Last])];
        match self {
            Self::Linear => Vec::new(),
            Self::Relu => one("Relu"),
            Self::Tanh => one("Tanh"),
            Self::Sigmoid => one("Sigmoid"),
            Self::Softmax => {
                vec![OnnxNode::new("Softmax", [Last]).with("axis", OnnxAttribute::Int(-1))]
            }
            Self::Silu => {
                vec![OnnxNode::new("Sigmoid", [Last]), OnnxNode::new("Mul", [Last, X])]
            }
            // x (1 + erf(x / √2)) / 2, in the order that onnxruntime fuses into one operation.
            Self::Gelu => vec![
                OnnxNode::new("Div", [Last, Number("sqrt_2", std::f32::consts::SQRT_2)]),
                OnnxNode::new("Erf", [Last]),
                OnnxNode::new("Add", [Last, Number("one", 1.0)]),
                OnnxNode::new("Mul", [Last, X]),
                OnnxNode::new("Mul", [Last, Number("half", 0.5)]),
            ],
        }
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
            let y = activation.apply(&Tensor::from_slice(&[-1.5f32, 0.0, 0.7]))?;
            for (i, expected) in expected.into_iter().enumerate() {
                let got = y.double_value(&[i as i64]);
                assert!((got - expected).abs() < 1e-6, "{activation:?}: {got} for {expected}");
            }
        }
        Ok(())
    }
}
