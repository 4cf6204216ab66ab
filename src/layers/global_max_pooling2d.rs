//! GlobalMaxPooling2D: the largest value of each channel of a picture.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, KerasAxes, Module, OnnxInput, OnnxNode};
use super::flatten::Flatten;
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use super::window;
use crate::native::LibtorchError;

/// Takes the largest value of each channel, [batch, channels, height, width] → [batch, channels]: Keras's
/// `GlobalMaxPooling2D`. The gradient is divided evenly among equal largest values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalMaxPooling2D;

impl LayerKind for GlobalMaxPooling2D {
    fn name(&self) -> &'static str {
        "GlobalMaxPooling2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let [channels, ..] = window::picture("GlobalMaxPooling2D", input)?;
        Ok(vec![channels])
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        Ok(x.f_amax([2, 3], false)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let &[channels, ..] = input else { return None };
        let aten = AtenNode::new(
            "amax.default",
            [
                ("self", AtenArgument::Last),
                ("dim", AtenArgument::Sizes(vec![2, 3])),
                ("keepdim", AtenArgument::Bool(true)),
            ],
        );
        let pooling = Module {
            torch: "nn.AdaptiveMaxPool2d(1)".to_owned(),
            script: "torch.amax(x, [2, 3], True)".to_owned(),
            onnx: Some(vec![OnnxNode::new("GlobalMaxPool", [OnnxInput::Last])]),
            aten: Some(vec![aten.shaped(&[channels, 1, 1])]),
            keras: Some("layers.GlobalMaxPooling2D()".to_owned()),
            keras_axes: KerasAxes::LastToVector,
            ..Module::default()
        };
        let flat = Flatten.describe(&[channels, 1, 1])?;
        let flat = flat.into_iter().map(|flat| Module { keras: Some(String::new()), ..flat });
        Some(std::iter::once(pooling).chain(flat).collect())
    }
}
