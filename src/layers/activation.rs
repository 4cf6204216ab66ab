//! Activations: functions of single values, and softmax.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{
    AtenArgument, AtenNode, KerasAxes, Module, OnnxAttribute, OnnxInput, OnnxNode,
};
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
    /// x, or 0.2 x below 0 (Keras's default slope; PyTorch's is 0.01)
    LeakyRelu,
    /// x, or exp(x) - 1 below 0 (Clevert et al., 2015)
    Elu,
    /// 1.0507 times x, or times 1.6733 (exp(x) - 1) below 0 (Klambauer et al., 2017)
    Selu,
    /// log(1 + exp(x))
    Softplus,
    /// min(max(x + 3, 0), 6) / 6, as in Keras 3 and PyTorch; Keras 2's has another slope
    HardSigmoid,
    /// x tanh(softplus(x)) (Misra, 2019)
    Mish,
    /// exp(xᵢ) / Σ exp(xⱼ); only on the last layer. The loss uses the logits before it, for numerical
    /// stability; `predict` and the exported model apply it.
    Softmax,
}

impl Activation {
    /// All activations, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Linear,
        Self::Relu,
        Self::Gelu,
        Self::Silu,
        Self::Tanh,
        Self::Sigmoid,
        Self::LeakyRelu,
        Self::Elu,
        Self::Selu,
        Self::Softplus,
        Self::HardSigmoid,
        Self::Mish,
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
            Self::LeakyRelu => "leaky_relu",
            Self::Elu => "elu",
            Self::Selu => "selu",
            Self::Softplus => "softplus",
            Self::HardSigmoid => "hard_sigmoid",
            Self::Mish => "mish",
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
            Self::LeakyRelu => x.f_where_self(&x.f_gt(0.0)?, &x.f_mul_scalar(0.2)?)?,
            Self::Elu => x.f_elu()?,
            Self::Selu => x.f_selu()?,
            Self::Softplus => x.f_softplus()?,
            Self::HardSigmoid => x.f_hardsigmoid()?,
            Self::Mish => x.f_mish()?,
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
            Self::LeakyRelu => ("nn.LeakyReLU(0.2)", "torch.leaky_relu(x, 0.2)"),
            Self::Elu => ("nn.ELU()", "torch.elu(x)"),
            Self::Selu => ("nn.SELU()", "torch.selu(x)"),
            Self::Softplus => ("nn.Softplus()", "torch.softplus(x)"),
            Self::HardSigmoid => ("nn.Hardsigmoid()", "torch.hardsigmoid(x)"),
            Self::Mish => ("nn.Mish()", "torch.mish(x)"),
            Self::Softmax => ("nn.Softmax(dim=-1)", "torch.softmax(x, -1)"),
        };
        Module {
            torch: torch.to_owned(),
            script: script.to_owned(),
            onnx: Some(self.onnx()),
            aten: Some(self.aten()),
            keras: Some(format!("layers.Activation({:?})", self.name())),
            keras_axes: if self == Self::Softmax { KerasAxes::Same } else { KerasAxes::Any },
            ..Module::default()
        }
    }

    /// Returns the module of a layer that ends in this activation, and that of the activation if it does anything:
    /// Keras's layer does both.
    pub(super) fn after(self, layer: Module) -> Vec<Module> {
        let own = Module { keras: Some(String::new()), ..self.module() };
        if self == Self::Linear { vec![layer] } else { vec![layer, own] }
    }

    fn aten(self) -> Vec<AtenNode> {
        let node = |operator, more: &[(&'static str, AtenArgument)]| {
            vec![AtenNode::new(operator, [&[("self", AtenArgument::Last)], more].concat())]
        };
        match self {
            Self::Linear => Vec::new(),
            Self::Relu => node("relu.default", &[]),
            Self::Gelu => node("gelu.default", &[]),
            Self::Silu => node("silu.default", &[]),
            Self::Tanh => node("tanh.default", &[]),
            Self::Sigmoid => node("sigmoid.default", &[]),
            Self::LeakyRelu => {
                node("leaky_relu.default", &[("negative_slope", AtenArgument::Float(0.2))])
            }
            Self::Elu => node("elu.default", &[]),
            Self::Selu => node("selu.default", &[]),
            Self::Softplus => node("softplus.default", &[]),
            Self::HardSigmoid => node("hardsigmoid.default", &[]),
            Self::Mish => node("mish.default", &[]),
            Self::Softmax => node("softmax.int", &[("dim", AtenArgument::Int(-1))]),
        }
    }

    fn onnx(self) -> Vec<OnnxNode> {
        use OnnxInput::{Last, Number, X};
        let one = |operator, attributes: &[(&'static str, f32)]| {
            let node = OnnxNode::new(operator, [Last]);
            let with =
                |node: OnnxNode, &(name, value): &_| node.with(name, OnnxAttribute::Float(value));
            vec![attributes.iter().fold(node, with)]
        };
        match self {
            Self::Linear => Vec::new(),
            Self::Relu => one("Relu", &[]),
            Self::Tanh => one("Tanh", &[]),
            Self::Sigmoid => one("Sigmoid", &[]),
            Self::Softmax => {
                vec![OnnxNode::new("Softmax", [Last]).with("axis", OnnxAttribute::Int(-1))]
            }
            Self::LeakyRelu => one("LeakyRelu", &[("alpha", 0.2)]),
            Self::Elu => one("Elu", &[]),
            Self::Selu => one("Selu", &[]),
            Self::Softplus => one("Softplus", &[]),
            Self::HardSigmoid => one("HardSigmoid", &[("alpha", 1.0 / 6.0), ("beta", 0.5)]),
            // Mish became an operator in opset 18.
            Self::Mish => vec![
                OnnxNode::new("Softplus", [Last]),
                OnnxNode::new("Tanh", [Last]),
                OnnxNode::new("Mul", [Last, X]),
            ],
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
            // leaky_relu with Keras's slope of 0.2.
            (Activation::LeakyRelu, [-0.3, 0.0, 0.7]),
            (Activation::Elu, [-0.7768698, 0.0, 0.7]),
            (Activation::Selu, [-1.3658144, 0.0, 0.7354907]),
            (Activation::Softplus, [0.2014133, std::f64::consts::LN_2, 1.1031860]),
            (Activation::HardSigmoid, [0.25, 0.5, 0.6166667]),
            (Activation::Mish, [-0.2980997, 0.0, 0.5611484]),
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
