//! LayerNormalization: mean 0 and variance 1 within each sample.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::exported_module::{AtenArgument, AtenNode, Module, OnnxAttribute, OnnxInput, OnnxNode};
use super::initializer::Initializer;
use super::layer_kind::{self, Context, LayerError, LayerKind, Variable, Variables};
use crate::native::LibtorchError;

/// Normalizes each sample along its last axis, then scales and shifts it: (x - mean) / √(variance + epsilon) ·
/// weight + bias (Ba, Kiros and Hinton, 2016). The variance is that of the values themselves, as in
/// `torch.nn.LayerNorm` and Keras; in bf16 training it is computed in f32.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LayerNormalization {
    /// A small number added to the variance: Keras's default is 0.001, PyTorch's 0.00001.
    pub epsilon: f64,
}

impl Default for LayerNormalization {
    fn default() -> Self {
        Self { epsilon: 1e-3 }
    }
}

impl LayerKind for LayerNormalization {
    fn name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        LayerError::unless_fits(self.epsilon > 0.0, "epsilon must be above 0 and", self.epsilon)?;
        Ok(input.to_vec())
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let size = [input.last().copied().unwrap_or(0)];
        vec![
            Variable::parameter("weight", &size, Initializer::Constant(1.0)),
            Variable::parameter("bias", &size, Initializer::Constant(0.0)),
        ]
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
        let [weight, bias] = variables.parameters()?;
        let x = x.f_to_kind(Kind::Float)?;
        let y = x.f_layer_norm(weight.size(), Some(weight), Some(bias), self.epsilon, true)?;
        Ok(y.f_to_kind(context.kind)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let (size, epsilon) = (input.last().copied().unwrap_or(0), self.epsilon);
        let variables = ["weight", "bias"].map(str::to_owned);
        let [weight, bias] = variables.clone().map(OnnxInput::Variable);
        let node = OnnxNode::new("LayerNormalization", [OnnxInput::Last, weight, bias])
            .with("axis", OnnxAttribute::Int(-1))
            .with("epsilon", OnnxAttribute::Float(epsilon as f32));
        Some(vec![Module {
            torch: format!("nn.LayerNorm({size}, eps={epsilon:?})"),
            script: format!("torch.layer_norm(x, [{size}], {{weight}}, {{bias}}, {epsilon:?})"),
            onnx: Some(vec![node]),
            aten: Some(vec![AtenNode::new(
                "layer_norm.default",
                [
                    ("input", AtenArgument::Last),
                    ("normalized_shape", AtenArgument::Sizes(vec![size as i64])),
                    ("weight", AtenArgument::Variable("weight".to_owned())),
                    ("bias", AtenArgument::Variable("bias".to_owned())),
                    ("eps", AtenArgument::Float(epsilon)),
                ],
            )]),
            keras: Some(format!("layers.LayerNormalization(epsilon={epsilon:?})")),
            variables: variables.into(),
            ..Module::default()
        }])
    }
}
