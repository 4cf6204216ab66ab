//! What every layer says about itself: shapes, variables, random numbers, the forward pass and its description.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;

use tch::{Kind, Tensor};

use super::activation::Activation;
use super::exported_module::Module;
use super::initializer::Initializer;
use crate::f32_range;
use crate::message_text::number;
use crate::native::LibtorchError;

/// A layer: its settings, and everything that depends on its kind. Its variables are in the network.
///
/// `examples/own_layer.rs` has one of another crate. Shapes are those of one sample, without the batch.
pub trait LayerKind: Any + fmt::Debug + Send + Sync {
    /// Returns Keras's name of the layer's class: "Dense".
    fn name(&self) -> &str;

    /// Returns the settings that files keep beside the name of a layer of another crate: a rate, for example. By default
    /// none.
    fn settings(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }

    /// Returns the shape of the output for an input of this shape, whose sizes are at least 1.
    ///
    /// # Errors
    /// A setting or an input shape that breaks the layer's rules.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError>;

    /// Returns the parameters and buffers for inputs of this shape, in PyTorch's order. By default none.
    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let _ = input;
        Vec::new()
    }

    /// Returns the multiply-adds of a forward pass for one sample of this shape: the products of weights and values,
    /// each with its addition. Biases, activations, pooling and other sums are not counted, as is usual. By default
    /// every value of a weight with at least two axes is used once, as in a matrix product with one vector.
    fn multiply_adds(&self, input: &[usize]) -> usize {
        let variables = self.variables(input).into_iter();
        let matrices = variables.filter(|variable| variable.trainable && variable.shape.len() > 1);
        matrices.filter_map(|matrix| matrix.count()).sum()
    }

    /// Returns the random numbers that the layer needs in each training step. By default none.
    fn noise(&self, input: &[usize]) -> Vec<Noise> {
        let _ = input;
        Vec::new()
    }

    /// Returns the fewest samples that a batch must have for the layer to learn from it. By default 1.
    fn smallest_batch(&self, input: &[usize]) -> usize {
        let _ = input;
        1
    }

    /// Computes the output for a batch, [batch, …input shape], in the kind of `x`.
    ///
    /// In training, a layer with buffers overwrites them in place, without autograd.
    ///
    /// # Errors
    /// Errors of libtorch.
    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError>;

    /// Returns the modules of the matching `torch.nn.Sequential`, with how each format writes them: at least one,
    /// and the first has all variables. `None`, the default, for a layer that cannot be exported.
    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let _ = input;
        None
    }

    /// Returns the activation that the layer ends in, linear by default. A layer that ends in a softmax must be the
    /// network's last, and its [`forward`](Self::forward) returns the logits before the softmax.
    fn last_activation(&self) -> Activation {
        Activation::Linear
    }
}

/// Returns the multiply-adds of a layer that scales and shifts each value of a sample of this shape.
pub(super) fn one_per_value(input: &[usize]) -> usize {
    input.iter().fold(1usize, |product, &size| product.saturating_mul(size))
}

/// A broken rule of a layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{rule}, found {found}{}{}", if .cure.is_empty() { "" } else { ": " }, .cure)]
pub struct LayerError {
    /// The rule: "Dense needs at least 1 unit".
    pub rule: String,
    /// The value found.
    pub found: String,
    /// The cure; empty if the rule says it.
    pub cure: String,
}

impl LayerError {
    /// Returns an error unless the rule holds.
    ///
    /// # Errors
    /// The broken rule.
    pub fn unless(
        holds: bool,
        rule: &str,
        found: impl fmt::Display,
        cure: &str,
    ) -> Result<(), Self> {
        match holds {
            true => Ok(()),
            false => {
                Err(Self { rule: rule.to_owned(), found: found.to_string(), cure: cure.to_owned() })
            }
        }
    }

    /// Returns an error unless a setting fits into f32, in which layers compute, and the rest of its rule holds.
    ///
    /// # Errors
    /// The broken rule.
    pub(super) fn unless_fits(holds: bool, rule: &str, value: f64) -> Result<(), Self> {
        let rule = format!("{rule} {}", f32_range::RULE);
        Self::unless(holds && f32_range::fits(value), &rule, number(value), "")
    }

    /// Returns the size of an input that must be a vector, for the layer called `name`.
    ///
    /// # Errors
    /// An input of another shape.
    pub fn unless_vector(name: &str, input: &[usize]) -> Result<usize, Self> {
        match input {
            [size] => Ok(*size),
            _ => Err(Self {
                rule: format!("{name} needs vectors"),
                found: format!("samples of shape {input:?}"),
                cure: "add Flatten before it".to_owned(),
            }),
        }
    }
}

/// A parameter or a buffer of a layer: f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// PyTorch's name within the module: "weight", "running_mean".
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its initial values.
    pub initializer: Initializer,
    /// Whether training computes gradients for it: a parameter. Otherwise it is a buffer, which the layer itself
    /// updates.
    pub trainable: bool,
}

impl Variable {
    /// Returns a parameter.
    pub fn parameter(name: &str, shape: &[usize], initializer: Initializer) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), initializer, trainable: true }
    }

    /// Returns a buffer.
    pub fn buffer(name: &str, shape: &[usize], initializer: Initializer) -> Self {
        Self { trainable: false, ..Self::parameter(name, shape, initializer) }
    }

    /// Returns the number of values, if it can be counted.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
    }
}

/// The tensors of a layer's variables, each kind in the order of [`LayerKind::variables`].
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// The trainable ones.
    pub parameters: &'a [Tensor],
    /// The others.
    pub buffers: &'a [Tensor],
}

impl Variables<'_> {
    /// Returns the first parameters.
    ///
    /// # Errors
    /// Fewer parameters than that.
    pub fn parameters<const N: usize>(&self) -> Result<[&Tensor; N], LibtorchError> {
        first(self.parameters)
    }

    /// Returns the first buffers.
    ///
    /// # Errors
    /// Fewer buffers than that.
    pub fn buffers<const N: usize>(&self) -> Result<[&Tensor; N], LibtorchError> {
        first(self.buffers)
    }
}

fn first<const N: usize>(tensors: &[Tensor]) -> Result<[&Tensor; N], LibtorchError> {
    match tensors.first_chunk::<N>() {
        Some(tensors) => Ok(tensors.each_ref()),
        None => {
            let found = tensors.len();
            Err(LibtorchError::other(&format!("a layer needs {N} variables, found {found}")))
        }
    }
}

/// The circumstances of a forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// In training, the random numbers of [`LayerKind::noise`], each f32 [batch, …its shape]; otherwise empty.
    pub noise: &'a [Tensor],
    /// Whether this is a training step.
    pub training: bool,
    /// The kind that matrix products are computed in: f32 or bf16.
    pub kind: Kind,
}

/// Random numbers for each sample of a training step, drawn from (seed, purpose, step, layer).
#[derive(Clone, Debug, PartialEq)]
pub struct Noise {
    /// The shape for one sample.
    pub shape: Vec<usize>,
    /// The distribution.
    pub distribution: Distribution,
}

/// The distribution of random numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Distribution {
    /// 1 with this probability, else 0.
    Bernoulli(f64),
    /// The normal distribution with mean 0 and standard deviation 1.
    Normal,
}
