//! The network itself: a sequence of layers with their parameters on a device.

use tch::{Device, Kind, Tensor};

use super::layer::{Dense, Dropout, Layer};
use super::output_activation::OutputActivation;
use super::spec::{Spec, SpecError};
use super::{Summary, init};
use crate::device::{self, DeviceError};
use crate::native::library::{self, VersionError};
use crate::native::{LibtorchError, random};
use crate::precision::Precision;
use crate::rng::{self, Purpose};

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
    device: Device,
    summary: Summary,
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

/// Whether dropout is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout passes everything through.
    Inference,
    /// Dropout draws its masks from the stream of (seed, step).
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
        let shapes = spec.check()?;
        library::check_version()?;
        device::require(device)?;
        let (mut names, mut tensors) = (Vec::new(), Vec::new());
        let mut inputs: usize = spec.input_shape.iter().product();
        for (i, (layer, shape)) in spec.layers.iter().zip(&shapes).enumerate() {
            let outputs = shape.iter().product();
            if let Layer::Dense(_) = layer {
                let weight = init::glorot_uniform(outputs, inputs, seed, i)?
                    .f_to_device(device)
                    .map_err(LibtorchError::from)?;
                let bias = Tensor::f_zeros([outputs as i64], (Kind::Float, device))
                    .map_err(LibtorchError::from)?;
                for tensor in [weight, bias] {
                    tensors.push(tensor.f_set_requires_grad(true).map_err(LibtorchError::from)?);
                }
            }
            inputs = outputs;
        }
        for (position, module) in spec.torch_modules()?.iter().enumerate() {
            if let super::TorchModule::Linear { .. } = module {
                names.push(format!("{position}.weight"));
                names.push(format!("{position}.bias"));
            }
        }
        let summary = Summary::new(&spec)?;
        Ok(Self { spec, names, tensors, device, summary })
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

    pub(crate) fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Like [`parameters`](Self::parameters), but mutable.
    pub(crate) fn named_tensors_mut(&mut self) -> impl Iterator<Item = (&str, &mut Tensor)> {
        self.names.iter().map(String::as_str).zip(&mut self.tensors)
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
        let masks = match mode {
            Mode::Inference => Vec::new(),
            Mode::Training { seed, step } => {
                let mut masks = self.empty_masks(x.size().first().copied().unwrap_or(0))?;
                self.draw_masks(&mut masks, seed, step)?;
                masks
            }
        };
        self.pass(x, &masks, Precision::F32)
    }

    /// Like [`forward`](Self::forward), but with the masks of the Dropout layers, in order, or none if
    /// the layers are to pass everything through.
    pub(crate) fn pass(
        &self,
        x: &Tensor,
        masks: &[Tensor],
        precision: Precision,
    ) -> Result<Tensor, ModelError> {
        let kind = if precision == Precision::Bf16 { Kind::BFloat16 } else { Kind::Float };
        let x = self.as_batch(x)?;
        Ok(self.layers(x, masks, kind)?)
    }

    fn layers(&self, x: Tensor, masks: &[Tensor], kind: Kind) -> Result<Tensor, LibtorchError> {
        // If it already has this kind, libtorch returns it unchanged.
        let mut x = x.f_to_kind(kind)?;
        let mut parameters = self.tensors.iter();
        let mut masks = masks.iter();
        for layer in &self.spec.layers {
            x = match *layer {
                Layer::Flatten => x.f_flatten(1, -1)?,
                Layer::Dense(Dense { activation, .. }) => {
                    let (Some(weight), Some(bias)) = (parameters.next(), parameters.next()) else {
                        unreachable!("from_spec made two parameters for each Dense layer");
                    };
                    let (weight, bias) = (weight.f_to_kind(kind)?, bias.f_to_kind(kind)?);
                    activation.forward(x.f_linear(&weight, Some(&bias))?)?
                }
                Layer::Dropout(Dropout { rate }) => match masks.next() {
                    Some(mask) if rate > 0.0 => {
                        x.f_mul(&mask.f_to_kind(kind)?)?.f_mul_scalar(1.0 / (1.0 - rate))?
                    }
                    _ => x,
                },
            };
        }
        Ok(x.f_to_kind(Kind::Float)?)
    }

    /// Allocates the masks of all Dropout layers: f32 [batch, …the layer's shape] on the network's device.
    pub(crate) fn empty_masks(&self, batch: i64) -> Result<Vec<Tensor>, ModelError> {
        let shapes = self.spec.check()?;
        let layers = self.spec.layers.iter().zip(shapes);
        let dropouts = layers.filter(|(layer, _)| matches!(layer, Layer::Dropout(_)));
        let masks = dropouts.map(|(_, shape)| {
            let sizes = shape.iter().map(|&size| size as i64);
            let sizes: Vec<i64> = std::iter::once(batch).chain(sizes).collect();
            Ok(Tensor::f_empty(&sizes, (Kind::Float, self.device)).map_err(LibtorchError::from)?)
        });
        masks.collect()
    }

    /// Draws the masks of a training step, counted from 0 over all epochs: 1 for values that pass.
    pub(crate) fn draw_masks(
        &self,
        masks: &mut [Tensor],
        seed: u64,
        step: u64,
    ) -> Result<(), LibtorchError> {
        let layers = self.spec.layers.iter().enumerate();
        let dropouts = layers.filter_map(|(i, layer)| match layer {
            Layer::Dropout(Dropout { rate }) => Some((i, *rate)),
            _ => None,
        });
        for (mask, (i, rate)) in masks.iter_mut().zip(dropouts) {
            if rate > 0.0 {
                let seed = rng::derive(seed, Purpose::Dropout, &[step, i as u64]);
                random::bernoulli(mask, 1.0 - rate, seed)?;
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
        Ok(self.spec.output.forward(&self.logits(x)?)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::Flatten;
    use crate::model::Activation;

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
