//! SpatialDropout2D: zeros in random channels while training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, KerasAxes, Module};
use super::layer_kind::{Context, Distribution, LayerError, LayerKind, Noise, Variables};
use super::window;
use crate::native::LibtorchError;

/// While training, sets whole channels of pictures to zero with probability `rate` and scales the others by
/// 1 / (1 - rate); otherwise does nothing (Tompson et al., 2015): Keras's `SpatialDropout2D`, PyTorch's `Dropout2d`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpatialDropout2D {
    /// The fraction of the channels that is dropped: 0 ≤ rate < 1.
    pub rate: f64,
}

impl SpatialDropout2D {
    /// Returns a layer that drops this fraction of the channels.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl LayerKind for SpatialDropout2D {
    fn name(&self) -> &'static str {
        "SpatialDropout2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        // NaN is in no range.
        let holds = (0.0..1.0).contains(&self.rate);
        let rule = "the dropout rate must be at least 0 and below 1";
        LayerError::unless(holds, rule, self.rate, "")?;
        Ok(window::picture("SpatialDropout2D", input)?.to_vec())
    }

    fn noise(&self, input: &[usize]) -> Vec<Noise> {
        let distribution = Distribution::Bernoulli(1.0 - self.rate);
        let channels = input.first().copied().unwrap_or(0);
        let mask = Noise { shape: vec![channels, 1, 1], distribution };
        if self.rate > 0.0 { vec![mask] } else { Vec::new() }
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let Some(mask) = context.noise.first() else { return Ok(x.shallow_clone()) };
        Ok(x.f_mul(&mask.f_mul_scalar(1.0 / (1.0 - self.rate))?.f_to_kind(context.kind)?)?)
    }

    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        let rate = self.rate;
        Some(vec![Module {
            torch: format!("nn.Dropout2d({rate:?})"),
            script: format!("torch.feature_dropout(x, {rate:?}, self.training)"),
            onnx: Some(Vec::new()),
            aten: Some(vec![AtenNode::new(
                "feature_dropout.default",
                [
                    ("input", AtenArgument::Last),
                    ("p", AtenArgument::Float(rate)),
                    ("train", AtenArgument::Bool(false)),
                ],
            )]),
            keras: Some(format!("layers.SpatialDropout2D({rate:?})")),
            keras_axes: KerasAxes::Last,
            ..Module::default()
        }])
    }
}
