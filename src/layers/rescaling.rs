//! Rescaling: the same scale and offset for all values.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, KerasAxes, Module, OnnxInput, OnnxNode};
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use crate::native::LibtorchError;

/// Computes x · scale + offset: Keras's `Rescaling`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rescaling {
    /// The factor.
    pub scale: f64,
    /// The number added.
    #[serde(default)]
    pub offset: f64,
}

impl Rescaling {
    /// Returns a layer that computes x · scale + offset.
    pub fn new(scale: f64, offset: f64) -> Self {
        Self { scale, offset }
    }
}

/// PyTorch has no such module.
const DEFINITION: &str = "class Rescaling(nn.Module):
    def __init__(self, scale, offset):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x):
        return x * self.scale + self.offset
";

impl LayerKind for Rescaling {
    fn name(&self) -> &'static str {
        "Rescaling"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        LayerError::unless_fits(true, "the scale must", self.scale)?;
        LayerError::unless_fits(true, "the offset must", self.offset)?;
        let cure = "a network of equal inputs learns nothing";
        LayerError::unless(self.scale as f32 != 0.0, "scale must not be 0", self.scale, cure)?;
        Ok(input.to_vec())
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        Ok(x.f_mul_scalar(self.scale)?.f_add_scalar(self.offset)?)
    }

    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        let Self { scale, offset } = self;
        let number = |value: &f64| OnnxInput::Numbers(vec![*value as f32]);
        let aten = |operator, value: &f64| {
            let other = AtenArgument::Float(*value);
            AtenNode::new(operator, [("self", AtenArgument::Last), ("other", other)])
        };
        Some(vec![Module {
            torch: format!("Rescaling({scale:?}, {offset:?})"),
            definition: Some(DEFINITION),
            script: format!("x * {scale:?} + {offset:?}"),
            onnx: Some(vec![
                OnnxNode::new("Mul", [OnnxInput::Last, number(scale)]),
                OnnxNode::new("Add", [OnnxInput::Last, number(offset)]),
            ]),
            aten: Some(vec![aten("mul.Tensor", scale), aten("add.Tensor", offset)]),
            keras: Some(format!("layers.Rescaling({scale:?}, {offset:?})")),
            keras_axes: KerasAxes::Any,
            ..Module::default()
        }])
    }
}
