//! Reshape: the same values in another shape.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, Module, OnnxInput, OnnxNode};
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use crate::native::LibtorchError;

/// Gives each sample another shape, row by row: Keras's `Reshape`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The shape of the output, without the batch.
    pub target_shape: Vec<usize>,
}

impl Reshape {
    /// Returns a layer whose outputs have this shape.
    pub fn new(target_shape: impl Into<Vec<usize>>) -> Self {
        Self { target_shape: target_shape.into() }
    }
}

impl LayerKind for Reshape {
    fn name(&self) -> &'static str {
        "Reshape"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let shape = &self.target_shape;
        let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        let values: usize = input.iter().product();
        let rule = format!("the target shape must have the input's {values} values");
        let holds = !shape.is_empty() && count == Some(values);
        LayerError::unless(holds, &rule, format!("{shape:?}"), "")?;
        Ok(shape.clone())
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let sizes = self.target_shape.iter().map(|&size| size as i64);
        let batch = x.size().first().copied().unwrap_or(0);
        Ok(x.f_reshape(std::iter::once(batch).chain(sizes).collect::<Vec<_>>())?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let sizes: Vec<String> = self.target_shape.iter().map(usize::to_string).collect();
        // A Python tuple with one element needs a comma.
        let comma = if sizes.len() == 1 { "," } else { "" };
        let sizes = sizes.join(", ");
        let flat = Module {
            torch: "nn.Flatten()".to_owned(),
            script: "torch.flatten(x, 1)".to_owned(),
            onnx: Some(Vec::new()),
            aten: Some(vec![
                AtenNode::new(
                    "flatten.using_ints",
                    [("self", AtenArgument::Last), ("start_dim", AtenArgument::Int(1))],
                )
                .shaped(&[input.iter().product()]),
            ]),
            keras: Some(String::new()),
            ..Module::default()
        };
        let target = self.target_shape.iter().map(|&size| size as i64);
        // A 0 in the shape is the size of the input there: the batch.
        let shape = std::iter::once(0).chain(target.clone());
        let shape = OnnxInput::Sizes(shape.collect());
        let unflatten = AtenNode::new(
            "unflatten.int",
            [
                ("self", AtenArgument::Last),
                ("dim", AtenArgument::Int(1)),
                ("sizes", AtenArgument::Sizes(target.collect())),
            ],
        );
        let reshape = Module {
            torch: format!("nn.Unflatten(1, ({sizes}{comma}))"),
            script: format!("x.reshape(x.size(0), {sizes})"),
            onnx: Some(vec![OnnxNode::new("Reshape", [OnnxInput::Last, shape])]),
            aten: Some(vec![unflatten.shaped(&self.target_shape)]),
            keras: Some(format!("layers.Reshape(({sizes}{comma}))")),
            ..flat.clone()
        };
        // PyTorch's Unflatten takes a vector.
        Some(if input.len() == 1 { vec![reshape] } else { vec![flat, reshape] })
    }
}
