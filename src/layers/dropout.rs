//! Dropout: zeros in random places while training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, KerasAxes, Module};
use super::layer_kind::{Context, Distribution, LayerError, LayerKind, Noise, Variables};
use crate::native::LibtorchError;

/// While training, sets each value to zero with probability `rate` and scales the others by
/// 1 / (1 - rate); otherwise does nothing (Srivastava et al., 2014, in the inverted form that Keras
/// and PyTorch use).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// The fraction that is dropped: 0 ≤ rate < 1.
    pub rate: f64,
}

impl Dropout {
    /// Returns a layer that drops this fraction of its inputs.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl LayerKind for Dropout {
    fn name(&self) -> &'static str {
        "Dropout"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        // NaN is in no range.
        let holds = (0.0..1.0).contains(&self.rate);
        let rule = "the dropout rate must be at least 0 and below 1";
        LayerError::unless(holds, rule, self.rate, "")?;
        Ok(input.to_vec())
    }

    fn noise(&self, input: &[usize]) -> Vec<Noise> {
        let distribution = Distribution::Bernoulli(1.0 - self.rate);
        let mask = Noise { shape: input.to_vec(), distribution };
        if self.rate > 0.0 { vec![mask] } else { Vec::new() }
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let Some(mask) = context.noise.first() else { return Ok(x.shallow_clone()) };
        Ok(x.f_mul(&mask.f_to_kind(context.kind)?)?.f_mul_scalar(1.0 / (1.0 - self.rate))?)
    }

    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        let rate = self.rate;
        Some(vec![Module {
            torch: format!("nn.Dropout({rate:?})"),
            script: format!("torch.dropout(x, {rate:?}, self.training)"),
            onnx: Some(Vec::new()),
            aten: Some(vec![AtenNode::new(
                "dropout.default",
                [
                    ("input", AtenArgument::Last),
                    ("p", AtenArgument::Float(rate)),
                    ("train", AtenArgument::Bool(false)),
                ],
            )]),
            keras: Some(format!("layers.Dropout({rate:?})")),
            keras_axes: KerasAxes::Any,
            ..Module::default()
        }])
    }
}
