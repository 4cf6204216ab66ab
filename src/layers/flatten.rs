//! Flatten: each sample as a vector.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, Module, OnnxAttribute, OnnxInput, OnnxNode};
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use crate::native::LibtorchError;

/// Turns each sample into a vector: [batch, a, b, …] → [batch, a·b·…].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flatten;

impl LayerKind for Flatten {
    fn name(&self) -> &'static str {
        "Flatten"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(vec![input.iter().product()])
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        Ok(x.f_flatten(1, -1)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let node = OnnxNode::new("Flatten", [OnnxInput::Last]);
        let flatten = AtenNode::new(
            "flatten.using_ints",
            [("self", AtenArgument::Last), ("start_dim", AtenArgument::Int(1))],
        );
        Some(vec![Module {
            torch: "nn.Flatten()".to_owned(),
            script: "torch.flatten(x, 1)".to_owned(),
            onnx: Some(vec![node.with("axis", OnnxAttribute::Int(1))]),
            aten: Some(vec![flatten.shaped(&[input.iter().product()])]),
            keras: Some("layers.Flatten()".to_owned()),
            ..Module::default()
        }])
    }
}
