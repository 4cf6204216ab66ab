//! The forward pass: from samples to logits and predictions, with the random numbers of a training step.

use tch::{Device, Kind, Tensor};

use super::Sequential;
use crate::layers::{Context, Distribution, Variables};
use crate::model::error::ModelError;
use crate::model::output_activation::OutputActivation;
use crate::native::{LibtorchError, random_tensors, tensor_buffer};
use crate::precision::Precision;
use crate::rng::{self, Purpose};

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

impl Sequential {
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
                    draw_bernoulli(tensor, probability, seed(Purpose::Dropout))?;
                }
                Distribution::Normal => random_tensors::normal(tensor, seed(Purpose::Noise))?,
            }
        }
        Ok(())
    }

    /// Returns the logits [batch, outputs] of `x` (like for [`forward`](Self::forward)), without autograd: the mean over
    /// its views, if there are any ([`set_views`](Self::set_views)).
    ///
    /// # Errors
    /// Like [`forward`](Self::forward).
    pub fn logits(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let _no_grad = tch::no_grad_guard();
        if self.views.is_plain() {
            return self.forward(x, Mode::Inference);
        }
        let views = self.views.of(&self.as_batch(x)?)?;
        let outputs = views.iter().map(|view| self.forward(view, Mode::Inference));
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        let mean = Tensor::f_stack(&outputs, 0).and_then(|all| all.f_mean_dim(0, false, None));
        Ok(mean.map_err(LibtorchError::from)?)
    }

    /// Returns the predictions [batch, outputs] of `x` (like for [`forward`](Self::forward)): by default the
    /// probabilities of the classes, the softmax of the logits, whether the last layer names it or not. After
    /// training with another loss they are what that loss is about: see [`Spec::output`](crate::Spec::output).
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

/// Overwrites every element with 1 (with the given probability) or 0.
fn draw_bernoulli(tensor: &mut Tensor, probability: f64, seed: u64) -> Result<(), LibtorchError> {
    if tensor.device() != Device::Cpu {
        return random_tensors::bernoulli(tensor, probability, seed);
    }
    let drawn = tensor_buffer::filled_f32(&tensor.size(), |out| {
        rng::bernoulli(out, 0, probability, seed);
    })?;
    Ok(tensor.f_copy_(&drawn)?)
}

/// Takes the first elements off a list; all of them if it is shorter.
fn take<'a>(list: &mut &'a [Tensor], count: usize) -> &'a [Tensor] {
    let (taken, rest) = list.split_at(count.min(list.len()));
    *list = rest;
    taken
}
