//! PReLU: a ReLU whose slope for negative values is learned.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, Module, OnnxInput, OnnxNode};
use super::initializer::Initializer;
use super::layer_kind::{Context, LayerError, LayerKind, Variable, Variables};
use crate::native::LibtorchError;

/// Computes max(x, 0) + weight · min(x, 0) with one weight for each value (He et al., 2015); for vectors. The weights
/// start at 0 as in Keras; PyTorch's start at 0.25.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PReLU;

impl LayerKind for PReLU {
    fn name(&self) -> &'static str {
        "PReLU"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        LayerError::unless_vector("PReLU", input)?;
        Ok(input.to_vec())
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        vec![Variable::parameter("weight", input, Initializer::Constant(0.0))]
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let [weight] = variables.parameters()?;
        Ok(x.f_prelu(&weight.f_to_kind(context.kind)?)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let weight = OnnxInput::Variable("weight".to_owned());
        Some(vec![Module {
            torch: format!("nn.PReLU({})", input.iter().product::<usize>()),
            script: "torch.prelu(x, {weight})".to_owned(),
            onnx: Some(vec![OnnxNode::new("PRelu", [OnnxInput::Last, weight])]),
            aten: Some(vec![AtenNode::new(
                "prelu.default",
                [
                    ("self", AtenArgument::Last),
                    ("weight", AtenArgument::Variable("weight".to_owned())),
                ],
            )]),
            keras: Some("layers.PReLU()".to_owned()),
            variables: vec!["weight".to_owned()],
            ..Module::default()
        }])
    }
}
