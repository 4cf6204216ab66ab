//! GlobalAveragePooling2D: the mean of each channel of a picture.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, KerasAxes, Module, OnnxInput, OnnxNode};
use super::flatten::Flatten;
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use super::window;
use crate::native::LibtorchError;

/// Takes the mean of each channel, [batch, channels, height, width] → [batch, channels]: Keras's
/// `GlobalAveragePooling2D`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalAveragePooling2D;

impl LayerKind for GlobalAveragePooling2D {
    fn name(&self) -> &'static str {
        "GlobalAveragePooling2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let [channels, ..] = window::picture("GlobalAveragePooling2D", input)?;
        Ok(vec![channels])
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        Ok(x.f_mean_dim(&[2i64, 3][..], false, context.kind)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let &[channels, ..] = input else { return None };
        let aten = AtenNode::new(
            "adaptive_avg_pool2d.default",
            [("self", AtenArgument::Last), ("output_size", AtenArgument::Sizes(vec![1, 1]))],
        );
        let pooling = Module {
            torch: "nn.AdaptiveAvgPool2d(1)".to_owned(),
            script: "torch.adaptive_avg_pool2d(x, [1, 1])".to_owned(),
            onnx: Some(vec![OnnxNode::new("GlobalAveragePool", [OnnxInput::Last])]),
            aten: Some(vec![aten.shaped(&[channels, 1, 1])]),
            keras: Some("layers.GlobalAveragePooling2D()".to_owned()),
            keras_axes: KerasAxes::LastToVector,
            ..Module::default()
        };
        let flat = Flatten.describe(&[channels, 1, 1])?;
        let flat = flat.into_iter().map(|flat| Module { keras: Some(String::new()), ..flat });
        Some(std::iter::once(pooling).chain(flat).collect())
    }
}
