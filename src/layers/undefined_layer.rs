//! The layer that a file names and this program does not define.

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::Tensor;

use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use crate::native::LibtorchError;

/// The name and settings of a layer that only the program that wrote the file defines, so that the file can be read. No
/// network can be built with it: its shapes are not known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UndefinedLayer {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    settings: BTreeMap<String, f64>,
}

impl LayerKind for UndefinedLayer {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> BTreeMap<String, f64> {
        self.settings.clone()
    }

    fn output_shape(&self, _: &[usize]) -> Result<Vec<usize>, LayerError> {
        Err(LayerError {
            rule: "a network is built of layers that the program defines".to_owned(),
            found: format!("{}, a layer of another crate or of a newer seqfit", self.name),
            cure:
                "the program that defines it builds the network by code, and gives it the weights \
                   (Sequential::set_weights) or a snapshot (Sequential::resume)"
                    .to_owned(),
        })
    }

    fn forward(
        &self,
        _: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        Err(LibtorchError::other(&format!("the layer {} is not defined here", self.name)))
    }
}
