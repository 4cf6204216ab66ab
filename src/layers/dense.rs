//! Dense: a fully connected layer.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::activation::Activation;
use super::exported_module::{AtenArgument, AtenNode, Module, OnnxAttribute, OnnxInput, OnnxNode};
use super::initializer::Initializer;
use super::layer_kind::{Context, LayerError, LayerKind, Variable, Variables};
use crate::native::LibtorchError;

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
    #[serde(default)]
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

impl LayerKind for Dense {
    fn name(&self) -> &'static str {
        "Dense"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        LayerError::unless_vector("Dense", input)?;
        LayerError::unless(self.units > 0, "Dense needs at least 1 unit", self.units, "")?;
        Ok(vec![self.units])
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let inputs = input.iter().product();
        vec![
            Variable::parameter("weight", &[self.units, inputs], Initializer::GlorotUniform),
            Variable::parameter("bias", &[self.units], Initializer::Constant(0.0)),
        ]
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let [weight, bias] = variables.parameters()?;
        let (weight, bias) = (weight.f_to_kind(context.kind)?, bias.f_to_kind(context.kind)?);
        self.activation.apply(&x.f_linear(&weight, Some(&bias))?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let (inputs, units) = (input.iter().product::<usize>(), self.units);
        let variables = ["weight", "bias"].map(str::to_owned);
        let [weight, bias] = variables.clone().map(OnnxInput::Variable);
        let gemm = OnnxNode::new("Gemm", [OnnxInput::Last, weight, bias]);
        let linear = AtenNode::new(
            "linear.default",
            [
                ("input", AtenArgument::Last),
                ("weight", AtenArgument::Variable("weight".to_owned())),
                ("bias", AtenArgument::Variable("bias".to_owned())),
            ],
        );
        let activation = match self.activation {
            Activation::Linear => String::new(),
            other => format!(", {:?}", other.name()),
        };
        let linear = Module {
            torch: format!("nn.Linear({inputs}, {units})"),
            script: "torch.linear(x, {weight}, {bias})".to_owned(),
            onnx: Some(vec![gemm.with("transB", OnnxAttribute::Int(1))]),
            aten: Some(vec![linear.shaped(&[units])]),
            keras: Some(format!("layers.Dense({units}{activation})")),
            variables: variables.into(),
            ..Module::default()
        };
        Some(self.activation.after(linear))
    }

    fn last_activation(&self) -> Activation {
        self.activation
    }
}
