//! GaussianNoise: normal noise while training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{KerasAxes, Module};
use super::layer_kind::{Context, Distribution, LayerError, LayerKind, Noise, Variables};
use crate::native::LibtorchError;

/// While training, adds noise from the normal distribution with mean 0; otherwise does nothing: Keras's
/// `GaussianNoise`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianNoise {
    /// The standard deviation of the noise, at least 0.
    pub stddev: f64,
}

impl GaussianNoise {
    /// Returns a layer that adds noise of this standard deviation.
    pub fn new(stddev: f64) -> Self {
        Self { stddev }
    }
}

/// PyTorch has no such module.
const DEFINITION: &str = "class GaussianNoise(nn.Module):
    def __init__(self, stddev):
        super().__init__()
        self.stddev = stddev

    def forward(self, x):
        return x + self.stddev * torch.randn_like(x) if self.training else x
";

impl LayerKind for GaussianNoise {
    fn name(&self) -> &'static str {
        "GaussianNoise"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let rule = "the standard deviation must be at least 0 and";
        LayerError::unless_fits(self.stddev >= 0.0, rule, self.stddev)?;
        Ok(input.to_vec())
    }

    fn noise(&self, input: &[usize]) -> Vec<Noise> {
        vec![Noise { shape: input.to_vec(), distribution: Distribution::Normal }]
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let Some(noise) = context.noise.first() else { return Ok(x.shallow_clone()) };
        Ok(x.f_add(&noise.f_mul_scalar(self.stddev)?.f_to_kind(context.kind)?)?)
    }

    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        let stddev = self.stddev;
        Some(vec![Module {
            torch: format!("GaussianNoise({stddev:?})"),
            definition: Some(DEFINITION),
            script: format!("x + {stddev:?} * torch.randn_like(x) if self.training else x"),
            onnx: Some(Vec::new()),
            aten: Some(Vec::new()),
            keras: Some(format!("layers.GaussianNoise({stddev:?})")),
            keras_axes: KerasAxes::Any,
            ..Module::default()
        }])
    }
}
