//! Activation as a layer.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::activation::Activation;
use super::exported_module::Module;
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use crate::native::LibtorchError;

/// Applies an activation: Keras's `Activation`. `add(Activation::Relu)` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationLayer {
    /// The activation.
    pub activation: Activation,
}

impl LayerKind for ActivationLayer {
    fn name(&self) -> &'static str {
        "Activation"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        Ok(input.to_vec())
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        self.activation.apply(x)
    }

    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        Some(vec![self.activation.module()])
    }

    fn last_activation(&self) -> Activation {
        self.activation
    }
}
