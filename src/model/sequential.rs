//! The network itself: a sequence of layers with their parameters on a device.

use tch::{Device, Kind, Tensor};

use super::Summary;
use super::output_activation::OutputActivation;
use super::spec::{Spec, SpecError};
use crate::device::{self, DeviceError};
use crate::layers::{Context, Distribution, Layer, Noise, Variables};
use crate::native::loaded_libtorch::{self, VersionError};
use crate::native::{LibtorchError, random_tensors};
use crate::precision::Precision;
use crate::rng::{self, Purpose};
use crate::target_scaling::TargetScaling;

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

/// An error of a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The description breaks a rule.
    #[error("this network cannot be built: {0}")]
    Spec(#[from] SpecError),
    /// The libtorch in use is not the one that this crate was built for.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The input has the wrong shape.
    #[error(
        "the network takes a batch of samples of shape {expected:?}, found a tensor of shape \
         {found:?}: reshape it, the batch first"
    )]
    Input {
        /// The shape of one sample.
        expected: Vec<usize>,
        /// The whole tensor's shape.
        found: Vec<i64>,
    },
    /// libtorch reported an error.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl ModelError {
    /// Converts to an error of libtorch's, for callers that know that the network and its input are valid.
    pub(crate) fn into_libtorch(self) -> LibtorchError {
        match self {
            Self::Libtorch(error) => error,
            other => LibtorchError::other(&other.to_string()),
        }
    }
}

/// Whether dropout and other layers do what they do only in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout passes everything through, and normalizations use their running statistics.
    Inference,
    /// Dropout draws its masks from the stream of (seed, step), and normalizations update their running
    /// statistics.
    Training {
        /// The run's seed.
        seed: u64,
        /// The training step, counted from 0 over all epochs.
        step: u64,
    },
}

impl Builder {
    /// Adds a layer at the end.
    // Keras's name; the operator `+` would mean nothing here.
    #[expect(clippy::should_implement_trait, reason = "Keras calls it add")]
    pub fn add(mut self, layer: impl Into<Layer>) -> Self {
        self.spec.layers.push(layer.into());
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
        Ok(Self { spec, names, tensors, buffer_names, buffers, trainable, layers, device, summary })
    }

    /// Returns the description.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Sets what turns outputs into predictions.
    pub(crate) fn set_output(&mut self, output: OutputActivation) {
        self.spec.output = output;
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

    /// Computes the forward pass up to the logits, recorded for autograd.
    ///
    /// `x` is f32 on the network's device, [batch, …input shape] or [batch, values].
    ///
    /// # Errors
    /// [`ModelError::Input`] for another shape; libtorch's own otherwise.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor, ModelError> {
        let noise = match mode {
            Mode::Inference => None,
            Mode::Training { seed, step } => {
                let mut noise = self.empty_noise(x.size().first().copied().unwrap_or(0))?;
                self.draw_noise(&mut noise, seed, step)?;
                Some(noise)
            }
        };
        self.pass(x, noise.as_deref(), Precision::F32)
    }

    /// Like [`forward`](Self::forward), but with the random numbers of a training step, in the order of the
    /// layers, or without them for inference.
    pub(crate) fn pass(
        &self,
        x: &Tensor,
        noise: Option<&[Tensor]>,
        precision: Precision,
    ) -> Result<Tensor, ModelError> {
        let kind = if precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float };
        let x = self.as_batch(x)?;
        Ok(self.pass_layers(x, noise, kind)?)
    }

    fn pass_layers(
        &self,
        x: Tensor,
        noise: Option<&[Tensor]>,
        kind: Kind,
    ) -> Result<Tensor, LibtorchError> {
        // If it already has this kind, libtorch returns it unchanged.
        let mut x = x.f_to_kind(kind)?;
        let (mut parameters, mut buffers) = (&self.tensors[..], &self.buffers[..]);
        let (training, mut noise) = (noise.is_some(), noise.unwrap_or_default());
        for (layer, own) in self.spec.layers.iter().zip(&self.layers) {
            let variables = Variables {
                parameters: take(&mut parameters, own.parameters),
                buffers: take(&mut buffers, own.buffers),
            };
            let context = Context { noise: take(&mut noise, own.noise.len()), training, kind };
            x = layer.kind().forward(&x, &variables, &context)?;
        }
        Ok(x.f_to_kind(Kind::Float)?)
    }

    /// Allocates the random numbers of a training step, such as the masks of Dropout: f32 [batch, …] on the
    /// network's device.
    pub(crate) fn empty_noise(&self, batch: i64) -> Result<Vec<Tensor>, ModelError> {
        let noise = self.layers.iter().flat_map(|layer| &layer.noise).map(|noise| {
            let sizes = noise.shape.iter().map(|&size| size as i64);
            let sizes: Vec<i64> = std::iter::once(batch).chain(sizes).collect();
            Ok(Tensor::f_empty(&sizes, (Kind::Float, self.device)).map_err(LibtorchError::from)?)
        });
        noise.collect()
    }

    /// Draws the random numbers of a training step, counted from 0 over all epochs.
    pub(crate) fn draw_noise(
        &self,
        tensors: &mut [Tensor],
        seed: u64,
        step: u64,
    ) -> Result<(), LibtorchError> {
        let layers = self.layers.iter().enumerate();
        let all = layers.flat_map(|(i, layer)| {
            layer.noise.iter().enumerate().map(move |(number, noise)| (i, number, noise))
        });
        for (tensor, (layer, number, noise)) in tensors.iter_mut().zip(all) {
            let position = [step, layer as u64, number as u64];
            // The first of a layer has the layer's own stream.
            let position = &position[..if number == 0 { 2 } else { 3 }];
            let seed = |purpose| rng::derive(seed, purpose, position);
            match noise.distribution {
                Distribution::Bernoulli(probability) => {
                    random_tensors::bernoulli(tensor, probability, seed(Purpose::Dropout))?;
                }
                Distribution::Normal => random_tensors::normal(tensor, seed(Purpose::Noise))?,
            }
        }
        Ok(())
    }

    /// Returns the logits [batch, outputs] of `x` (like for [`forward`](Self::forward)), without autograd.
    ///
    /// # Errors
    /// Like [`forward`](Self::forward).
    pub fn logits(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let _no_grad = tch::no_grad_guard();
        self.forward(x, Mode::Inference)
    }

    /// Returns the predictions [batch, outputs] of `x` (like for [`forward`](Self::forward)): by default the
    /// probabilities of the classes, the softmax of the logits, whether the last layer names it or not. After
    /// training with another loss they are what that loss is about: see [`Spec::output`].
    ///
    /// # Errors
    /// Like [`forward`](Self::forward).
    pub fn predict(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.prediction_of(&self.logits(x)?)?)
    }

    /// Returns the predictions that outputs of the last layer stand for, [batch, outputs]: after the output activation,
    /// and numbers scaled back.
    pub(crate) fn prediction_of(&self, outputs: &Tensor) -> Result<Tensor, LibtorchError> {
        self.prediction_with(self.spec.output, outputs)
    }

    /// Like [`prediction_of`](Self::prediction_of), after another output activation than the description's: that of
    /// a loss, before training with it has set it.
    pub(crate) fn prediction_with(
        &self,
        activation: OutputActivation,
        outputs: &Tensor,
    ) -> Result<Tensor, LibtorchError> {
        let predicted = activation.forward(outputs)?;
        match &self.spec.target_scaling {
            Some(scaling) => scaling.undo(&predicted),
            None => Ok(predicted),
        }
    }

    /// Returns the targets that the loss compares the outputs of the last layer with: numbers scaled, as in training.
    pub(crate) fn loss_targets(&self, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        match &self.spec.target_scaling {
            Some(scaling) => scaling.scale_tensor(targets),
            None => Ok(targets.shallow_clone()),
        }
    }

    /// Returns `x` as [batch, …input shape].
    fn as_batch(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let found = x.size();
        let sample: Vec<i64> = self.spec.input_shape.iter().map(|&size| size as i64).collect();
        let values: i64 = sample.iter().product();
        match found.split_first() {
            Some((_, rest)) if *rest == sample => Ok(x.shallow_clone()),
            Some((&batch, rest)) if rest.iter().product::<i64>() == values && !rest.is_empty() => {
                let shape: Vec<i64> = std::iter::once(batch).chain(sample).collect();
                Ok(x.f_reshape(shape).map_err(LibtorchError::from)?)
            }
            _ => Err(ModelError::Input { expected: self.spec.input_shape.clone(), found }),
        }
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
        }
    }
}

/// Takes the first elements off a list; all of them if it is shorter.
fn take<'a>(list: &mut &'a [Tensor], count: usize) -> &'a [Tensor] {
    let (taken, rest) = list.split_at(count.min(list.len()));
    *list = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Activation, Dense, Dropout, Flatten};

    fn small() -> Builder {
        Sequential::new([2, 3]).add(Flatten).add(Dense::new(4).activation(Activation::Relu))
    }

    #[test]
    fn flat_samples_are_accepted_and_wrong_shapes_refused() -> Result<(), ModelError> {
        let model = small().add(Dense::new(2)).build(Device::Cpu, 0)?;
        let x = Tensor::arange(12, (Kind::Float, Device::Cpu));
        let image = model.logits(&x.reshape([2, 2, 3]))?;
        assert_eq!(image.size(), [2, 2]);
        assert!(image.equal(&model.logits(&x.reshape([2, 6]))?));
        let error = model.logits(&x.reshape([3, 4])).map_err(|e| e.to_string());
        assert!(error.is_err_and(|e| e.contains("[2, 3]") && e.contains("[3, 4]")));
        Ok(())
    }

    #[test]
    fn softmax_changes_predictions_not_logits() -> Result<(), ModelError> {
        let plain = small().add(Dense::new(2)).build(Device::Cpu, 7)?;
        let softmax =
            small().add(Dense::new(2).activation(Activation::Softmax)).build(Device::Cpu, 7)?;
        let x = Tensor::ones([1, 2, 3], (Kind::Float, Device::Cpu));
        assert!(plain.logits(&x)?.equal(&softmax.logits(&x)?));
        let sum = softmax.predict(&x)?.sum(Kind::Float).double_value(&[]);
        assert!((sum - 1.0).abs() < 1e-6);
        assert!(plain.predict(&x)?.equal(&softmax.predict(&x)?));
        Ok(())
    }

    #[test]
    fn dropout_is_active_only_in_training_and_keeps_the_mean() -> Result<(), ModelError> {
        let model = Sequential::new([10_000])
            .add(Dropout::new(0.25))
            .add(Dense::new(1))
            .build(Device::Cpu, 0)?;
        // All weights 1: the output is the sum of the values that dropout passes.
        let mut weight = model.tensors()[0].shallow_clone();
        let _ = tch::no_grad(|| weight.fill_(1.0));
        let x = Tensor::ones([1, 10_000], (Kind::Float, Device::Cpu));
        let sum = |mode| model.forward(&x, mode).map(|y| y.double_value(&[0, 0]));
        assert_eq!(sum(Mode::Inference)?, 10_000.0);
        let step = |step| sum(Mode::Training { seed: 1, step });
        // Standard deviation √(10000 · 0.25 / 0.75) = 58.
        assert!((step(0)? - 10_000.0).abs() < 300.0 && step(0)? != 10_000.0);
        assert_eq!(step(0)?, step(0)?);
        assert!(step(0)? != step(1)?);
        Ok(())
    }

    #[test]
    fn a_clone_is_independent_and_can_move_to_a_thread() -> Result<(), ModelError> {
        let model = small().add(Dense::new(2)).build(Device::Cpu, 0)?;
        let before = model.weights()?;
        let mut copy = model.clone();
        let copied = std::thread::spawn(move || {
            for (_, tensor) in copy.variables_mut() {
                assert!(tensor.requires_grad() && tensor.is_leaf());
                let _ = tch::no_grad(|| tensor.zero_());
            }
            copy.weights()
        });
        let copied = copied.join().unwrap()?;
        assert!(copied["1.weight"].values.iter().all(|&value| value == 0.0));
        assert_eq!(model.weights()?, before);
        assert!(before["1.weight"].values.iter().any(|&value| value != 0.0));
        Ok(())
    }

    #[test]
    fn biases_start_at_zero_and_seeds_repeat() -> Result<(), ModelError> {
        let build = |seed| small().add(Dense::new(2)).build(Device::Cpu, seed);
        let (a, b, c) = (build(3)?, build(3)?, build(4)?);
        let names: Vec<_> = a.parameters().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["1.weight", "1.bias", "3.weight", "3.bias"]);
        for (i, (x, y)) in a.tensors().iter().zip(b.tensors()).enumerate() {
            assert!(x.equal(y));
            let is_bias = i % 2 == 1;
            assert_eq!(is_bias, x.equal(&x.zeros_like()));
            assert_eq!(is_bias, x.equal(&c.tensors()[i]));
        }
        Ok(())
    }
}
