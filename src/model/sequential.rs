//! The network itself: a sequence of layers with their parameters on a device.

mod forward_pass;
mod views;

use tch::{Device, Tensor};

use super::error::ModelError;
use super::output_activation::OutputActivation;
use super::spec::Spec;
use super::summary::Summary;
use crate::device;
use crate::free_memory::check_left;
use crate::layers::{Layer, Noise};
use crate::native::{LibtorchError, loaded_libtorch};
use crate::target_scaling::TargetScaling;

pub use forward_pass::Mode;
pub use views::Views;

/// A stack of layers, each applied to the output of the one before, like Keras's `Sequential`.
///
/// ```
/// use seqfit::{Activation, Device, Sequential, layers::{Dense, Flatten}};
///
/// let model = Sequential::new([28, 28])
///     .add(Flatten)
///     .add(Dense::new(128).activation(Activation::Relu))
///     .add(Dense::new(10))
///     .build(Device::Cpu, 0)?;
/// assert_eq!(model.summary().parameters(), 101_770);
/// # Ok::<(), seqfit::Error>(())
/// ```
#[derive(Debug)]
pub struct Sequential {
    spec: Spec,
    /// In the order of the layers, weight before bias: "1.weight", "1.bias", "3.weight", …
    names: Vec<String>,
    tensors: Vec<Tensor>,
    /// The variables that are not trained, such as running statistics, in the order of the layers.
    buffer_names: Vec<String>,
    buffers: Vec<Tensor>,
    /// For each variable in the order of the layers: whether it is trained.
    trainable: Vec<bool>,
    /// For each layer: its numbers of parameters and of buffers, and the random numbers of a training step.
    layers: Vec<LayerState>,
    device: Device,
    summary: Summary,
    /// The views that inference averages.
    views: Views,
}

#[derive(Clone, Debug, Default)]
struct LayerState {
    parameters: usize,
    buffers: usize,
    noise: Vec<Noise>,
}

/// A network under construction; see [`Sequential::new`].
#[derive(Clone, Debug)]
#[must_use = "a network is made by build()"]
pub struct Builder {
    spec: Spec,
}

impl Builder {
    /// Adds a layer at the end.
    // Keras's name; the operator `+` would mean nothing here.
    #[expect(clippy::should_implement_trait, reason = "Keras calls it add")]
    pub fn add(mut self, layer: impl Into<Layer>) -> Self {
        self.spec.layers.push(layer.into());
        self
    }

    /// Sets what turns the outputs of the last layer into predictions, by default a softmax. Training sets it to that of
    /// its loss; this is for a network that predicts before it is trained, or with weights of another program.
    pub fn output_activation(mut self, output: OutputActivation) -> Self {
        self.spec.output = output;
        self
    }

    /// Sets the scaling of the numbers that the network is to predict, usually that of the training data:
    /// [`Dataset::target_scaling`](crate::data::Dataset::target_scaling). The loss is then computed on scaled
    /// targets, and predictions are scaled back.
    pub fn target_scaling(mut self, scaling: TargetScaling) -> Self {
        self.spec.target_scaling = Some(scaling);
        self
    }

    /// Returns the description so far, unchecked.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Builds the network: parameters on `device`, weights drawn by `seed`.
    ///
    /// # Errors
    /// A description that breaks a rule, a device that is not available, or too little memory.
    pub fn build(self, device: Device, seed: u64) -> Result<Sequential, ModelError> {
        Sequential::from_spec(self.spec, device, seed)
    }
}

impl Sequential {
    /// Starts a network for samples of `input_shape` (without the batch): [28, 28] for images.
    #[expect(clippy::new_ret_no_self, reason = "Keras's word; a network without layers is none")]
    pub fn new(input_shape: impl Into<Vec<usize>>) -> Builder {
        Builder { spec: Spec::new(input_shape, Vec::new()) }
    }

    /// Builds the network that `spec` describes, like [`Builder::build`].
    ///
    /// # Errors
    /// Like [`Builder::build`].
    pub fn from_spec(spec: Spec, device: Device, seed: u64) -> Result<Self, ModelError> {
        spec.check()?;
        loaded_libtorch::check_version()?;
        device::require(device)?;
        let summary = Summary::new(&spec)?;
        if device == Device::Cpu {
            let weights = summary.parameters();
            let bytes = weights as u64 * size_of::<f32>() as u64;
            check_left(bytes, || format!("the network's {weights} weights"))?;
        }
        let mut layers: Vec<LayerState> = Vec::new();
        for (layer, input) in spec.layers_with_inputs()? {
            layers.push(LayerState { noise: layer.kind().noise(&input), ..LayerState::default() });
        }
        let (mut names, mut tensors) = (Vec::new(), Vec::new());
        let (mut buffer_names, mut buffers) = (Vec::new(), Vec::new());
        let mut trainable = Vec::new();
        for found in spec.variables()? {
            let (own, variable) = (&mut layers[found.layer], &found.variable);
            let number = (own.parameters + own.buffers) as u64;
            let position = [found.layer as u64, number];
            // The first variable of a layer has the layer's own stream.
            let position = &position[..if number == 0 { 1 } else { 2 }];
            let tensor = variable.initializer.draw(&variable.shape, device, seed, position)?;
            trainable.push(variable.trainable);
            match variable.trainable {
                true => {
                    names.push(found.name);
                    tensors.push(tensor.f_set_requires_grad(true).map_err(LibtorchError::from)?);
                    own.parameters += 1;
                }
                false => {
                    buffer_names.push(found.name);
                    buffers.push(tensor);
                    own.buffers += 1;
                }
            }
        }
        let views = Views::default();
        Ok(Self {
            spec,
            names,
            tensors,
            buffer_names,
            buffers,
            trainable,
            layers,
            device,
            summary,
            views,
        })
    }

    /// Returns the description.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Sets what turns outputs into predictions.
    pub(crate) fn set_output(&mut self, output: OutputActivation) {
        self.spec.output = output;
    }

    /// Sets the views of each picture whose outputs [`logits`](Self::logits), [`predict`](Self::predict) and evaluations
    /// average: test-time augmentation. Training and exports do not use them.
    ///
    /// # Errors
    /// Views, and a network that does not take pictures of at least 2 by 2 pixels.
    pub fn set_views(&mut self, views: Views) -> Result<(), ModelError> {
        if !views.fit(&self.spec.input_shape) {
            return Err(ModelError::NoPictures(self.spec.input_shape.clone()));
        }
        self.views = views;
        Ok(())
    }

    /// Returns the device of the parameters.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Returns the number of outputs per sample: the number of classes.
    pub fn outputs(&self) -> usize {
        self.spec.outputs()
    }

    /// Returns Keras's table of layers, shapes and parameters.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Returns the parameters by the names that the matching `torch.nn.Sequential` gives them, such as
    /// "1.weight"; f32 on [`device`](Self::device).
    pub fn parameters(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// Returns the variables that are not trained, such as running statistics, by their names; f32 on
    /// [`device`](Self::device).
    pub fn buffers(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.buffer_names.iter().map(String::as_str).zip(&self.buffers)
    }

    /// Returns the parameters and buffers in the order of the layers, as in PyTorch's `state_dict()`.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let (mut parameters, mut buffers) = (self.parameters(), self.buffers());
        let next = move |&trainable| if trainable { parameters.next() } else { buffers.next() };
        self.trainable.iter().filter_map(next)
    }

    pub(crate) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    pub(crate) fn buffer_tensors(&self) -> &[Tensor] {
        &self.buffers
    }

    /// Returns every parameter and buffer with its name, in no particular order.
    pub(crate) fn variables_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        let parameters = self.names.iter().zip(&mut self.tensors);
        let buffers = self.buffer_names.iter().zip(&mut self.buffers);
        parameters.chain(buffers).map(|(name, tensor)| (name.as_str(), tensor))
    }

    pub(crate) fn tensors_mut(&mut self) -> &mut [Tensor] {
        &mut self.tensors
    }
}

impl Clone for Sequential {
    /// Copies the network with its tensors, which are then independent.
    ///
    /// # Panics
    /// If there is no memory for them, as in every `Clone` of Rust.
    fn clone(&self) -> Self {
        let _no_grad = tch::no_grad_guard();
        let copy = |tensor: &Tensor| tensor.copy().set_requires_grad(tensor.requires_grad());
        Self {
            spec: self.spec.clone(),
            names: self.names.clone(),
            tensors: self.tensors.iter().map(copy).collect(),
            buffer_names: self.buffer_names.clone(),
            buffers: self.buffers.iter().map(copy).collect(),
            trainable: self.trainable.clone(),
            layers: self.layers.clone(),
            device: self.device,
            summary: self.summary.clone(),
            views: self.views,
        }
    }
}

#[cfg(test)]
mod tests;
