//! RMSNormalization: a mean square of 1 within each sample.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::exported_module::{AtenArgument, AtenNode, Module, OnnxInput, OnnxNode};
use super::initializer::Initializer;
use super::layer_kind::{self, Context, LayerError, LayerKind, Variable, Variables};
use crate::native::LibtorchError;

/// Divides each sample by the root of its mean square along the last axis, and scales it: x / √(mean(x²) + epsilon) ·
/// weight (Zhang and Sennrich, 2019), as `torch.nn.RMSNorm` and Keras do; in bf16 training in f32. Unlike
/// [`LayerNormalization`](super::LayerNormalization) it subtracts no mean and adds no bias.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RMSNormalization {
    /// A small number added to the mean square: Keras's default is 0.000001, and PyTorch's about 0.00000012.
    pub epsilon: f64,
}

impl Default for RMSNormalization {
    fn default() -> Self {
        Self { epsilon: 1e-6 }
    }
}

impl LayerKind for RMSNormalization {
    fn name(&self) -> &str {
        "RMSNormalization"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        LayerError::unless_fits(self.epsilon > 0.0, "epsilon must be above 0 and", self.epsilon)?;
        Ok(input.to_vec())
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let size = [input.last().copied().unwrap_or(0)];
        vec![Variable::parameter("weight", &size, Initializer::Constant(1.0))]
    }

    fn multiply_adds(&self, input: &[usize]) -> usize {
        layer_kind::one_per_value(input)
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let [weight] = variables.parameters()?;
        let x = x.f_to_kind(Kind::Float)?;
        let square = x.f_square()?.f_mean_dim(&[-1i64][..], true, Kind::Float)?;
        let y = x.f_mul(&square.f_add_scalar(self.epsilon)?.f_rsqrt()?)?.f_mul(weight)?;
        Ok(y.f_to_kind(context.kind)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let (size, epsilon) = (input.last().copied().unwrap_or(0), self.epsilon);
        let weight = OnnxInput::Variable("weight".to_owned());
        let number = |value: f32| OnnxInput::Numbers(vec![value]);
        // Opset 17 has no such operator.
        let nodes = vec![
            OnnxNode::new("Mul", [OnnxInput::X, OnnxInput::X]),
            OnnxNode::new("ReduceSum", [OnnxInput::Last, OnnxInput::Sizes(vec![-1])]),
            OnnxNode::new("Div", [OnnxInput::Last, number(size as f32)]),
            OnnxNode::new("Add", [OnnxInput::Last, number(epsilon as f32)]),
            OnnxNode::new("Sqrt", [OnnxInput::Last]),
            OnnxNode::new("Div", [OnnxInput::X, OnnxInput::Last]),
            OnnxNode::new("Mul", [OnnxInput::Last, weight]),
        ];
        let two = |operator, one, other| AtenNode::new(operator, [("self", one), ("other", other)]);
        let mean = [
            ("self", AtenArgument::Last),
            ("dim", AtenArgument::Sizes(vec![-1])),
            ("keepdim", AtenArgument::Bool(true)),
        ];
        // The mean has one value along the last axis.
        let mut one = input.to_vec();
        one.iter_mut().rev().take(1).for_each(|size| *size = 1);
        let variable = AtenArgument::Variable("weight".to_owned());
        let aten = vec![
            two("mul.Tensor", AtenArgument::X, AtenArgument::X),
            AtenNode::new("mean.dim", mean).shaped(&one),
            two("add.Tensor", AtenArgument::Last, AtenArgument::Float(epsilon)),
            AtenNode::new("rsqrt.default", [("self", AtenArgument::Last)]),
            two("mul.Tensor", AtenArgument::X, AtenArgument::Last).shaped(input),
            two("mul.Tensor", AtenArgument::Last, variable),
        ];
        let root = format!("torch.rsqrt(torch.mean(x * x, [-1], True) + {epsilon:?})");
        Some(vec![Module {
            torch: format!("nn.RMSNorm({size}, eps={epsilon:?})"),
            script: format!("x * {root} * {{weight}}"),
            onnx: Some(nodes),
            aten: Some(aten),
            keras: Some(format!("layers.RMSNormalization(epsilon={epsilon:?})")),
            variables: vec!["weight".to_owned()],
            ..Module::default()
        }])
    }
}
