//! Residual: a block of layers whose output is added to its input.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Layer;
use super::activation::Activation;
use super::exported_module::Module;
use super::layer_kind::{Context, LayerError, LayerKind, Noise, Variable, Variables};
use crate::native::LibtorchError;

/// Computes y = x + f(x) for a stack of layers f (He et al., 2016), whose output has the shape of its input.
///
/// PyTorch names the variables of the first layer in the block "3.0.weight" if the block is module 3.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The layers of f, first to last.
    pub layers: Vec<Layer>,
}

impl Residual {
    /// Returns a block without layers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer at the end of the block.
    #[expect(clippy::should_implement_trait, reason = "Keras calls it add")]
    pub fn add(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// Returns each layer with the shape of its input.
    fn inner(&self, input: &[usize]) -> Vec<(&dyn LayerKind, Vec<usize>)> {
        let mut shape = input.to_vec();
        let layers = self.layers.iter().map(|layer| {
            // A wrong layer is reported by output_shape, before anything else is asked.
            let output = layer.kind().output_shape(&shape).unwrap_or_default();
            (layer.kind(), std::mem::replace(&mut shape, output))
        });
        layers.collect()
    }
}

/// PyTorch has no such module.
const DEFINITION: &str = "class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)
";

/// Nor has Keras.
const KERAS_DEFINITION: &str = "class Residual(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return inputs + super().call(inputs, training=training, mask=mask)
";

impl LayerKind for Residual {
    fn name(&self) -> &'static str {
        "Residual"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let rule = "a residual block needs layers";
        LayerError::unless(!self.layers.is_empty(), rule, "none", "")?;
        let mut shape = input.to_vec();
        for (i, layer) in self.layers.iter().enumerate() {
            let name = layer.kind().name();
            let output = layer.kind().output_shape(&shape);
            shape = output.map_err(|error| LayerError {
                rule: format!("layer {} ({name}) in the block: {}", i + 1, error.rule),
                ..error
            })?;
            let rule = "softmax belongs on the network's last layer";
            let cure = "use relu here";
            LayerError::unless(
                layer.kind().last_activation() != Activation::Softmax,
                rule,
                "it in a block",
                cure,
            )?;
        }
        let rule = format!("the block's output must have the shape of its input, {input:?}");
        LayerError::unless(shape == input, &rule, format!("{shape:?}"), "")?;
        Ok(shape)
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let (mut variables, mut position) = (Vec::new(), 0);
        for (layer, input) in self.inner(input) {
            let own = layer.variables(&input).into_iter();
            variables.extend(own.map(|variable| Variable {
                name: format!("{position}.{}", variable.name),
                ..variable
            }));
            position += layer.describe(&input).map_or(1, |modules| modules.len());
        }
        variables
    }

    fn multiply_adds(&self, input: &[usize]) -> usize {
        let inner = self.inner(input).into_iter();
        inner.map(|(layer, input)| layer.multiply_adds(&input)).fold(0, usize::saturating_add)
    }

    fn smallest_batch(&self, input: &[usize]) -> usize {
        let inner = self.inner(input).into_iter();
        inner.map(|(layer, input)| layer.smallest_batch(&input)).max().unwrap_or(1)
    }

    fn noise(&self, input: &[usize]) -> Vec<Noise> {
        self.inner(input).iter().flat_map(|(layer, input)| layer.noise(input)).collect()
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let sizes = x.size();
        let input: Vec<usize> = sizes.iter().skip(1).map(|&size| size as usize).collect();
        let (mut all, mut noise) = (*variables, context.noise);
        let mut y = x.shallow_clone();
        for (layer, input) in self.inner(&input) {
            let own = layer.variables(&input);
            let parameters = own.iter().filter(|variable| variable.trainable).count();
            let variables = Variables {
                parameters: take(&mut all.parameters, parameters),
                buffers: take(&mut all.buffers, own.len() - parameters),
            };
            let count = if context.training { layer.noise(&input).len() } else { 0 };
            let context = Context { noise: take(&mut noise, count), ..*context };
            y = layer.forward(&y, &variables, &context)?;
        }
        Ok(x.f_add(&y)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let mut block = Vec::new();
        for (layer, input) in self.inner(input) {
            block.extend(layer.describe(&input)?);
        }
        let variables = self.variables(input).into_iter().map(|variable| variable.name);
        Some(vec![Module {
            torch: "Residual".to_owned(),
            definition: Some(DEFINITION),
            keras: Some("Residual".to_owned()),
            keras_definition: Some(KERAS_DEFINITION),
            variables: variables.collect(),
            block,
            residual: true,
            ..Module::default()
        }])
    }
}

/// Takes the first elements off a list; all of them if it is shorter.
fn take<'a>(list: &mut &'a [Tensor], count: usize) -> &'a [Tensor] {
    let (taken, rest) = list.split_at(count.min(list.len()));
    *list = rest;
    taken
}
