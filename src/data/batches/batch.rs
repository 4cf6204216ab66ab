//! A batch of samples, ready for the network, and the tensors that it is made of.

use tch::{Device, Tensor};

use crate::data::targets::Target;
use crate::native::LibtorchError;

/// A batch of samples, ready for the network.
#[derive(Debug)]
pub struct Batch {
    /// f32 [batch, …sample shape]; pixels in [0, 1].
    pub inputs: Tensor,
    /// Of classes i64 [batch]; of several labels or numbers f32 [batch, targets].
    pub targets: Tensor,
    /// The weight of each sample in the loss, f32 [batch]; none: all the same.
    pub weights: Option<Tensor>,
    /// Where samples are mixed with others: the targets of the smaller parts, as `targets`, and their weights in the
    /// loss, f32 [batch].
    pub mixed: Option<(Tensor, Tensor)>,
}

impl Batch {
    /// Returns the batch with each of its tensors replaced by what `map` makes of it.
    pub fn map<E>(&self, map: impl Fn(&Tensor) -> Result<Tensor, E>) -> Result<Self, E> {
        Ok(Self {
            inputs: map(&self.inputs)?,
            targets: map(&self.targets)?,
            weights: self.weights.as_ref().map(&map).transpose()?,
            mixed: match &self.mixed {
                Some((targets, weights)) => Some((map(targets)?, map(weights)?)),
                None => None,
            },
        })
    }

    /// Copies the values of a batch of the same shape into this one's tensors.
    pub fn copy_from(&mut self, other: &Self) -> Result<(), LibtorchError> {
        self.inputs.f_copy_(&other.inputs)?;
        self.targets.f_copy_(&other.targets)?;
        if let (Some(own), Some(weights)) = (&mut self.weights, &other.weights) {
            own.f_copy_(weights)?;
        }
        if let (Some(own), Some(mixed)) = (&mut self.mixed, &other.mixed) {
            own.0.f_copy_(&mixed.0)?;
            own.1.f_copy_(&mixed.1)?;
        }
        Ok(())
    }

    /// Returns the number of samples.
    pub fn samples(&self) -> usize {
        self.targets.size().first().map_or(0, |&samples| samples as usize)
    }

    /// Moves this batch to a device.
    pub(super) fn on(self, device: Device) -> Result<Self, LibtorchError> {
        if device == Device::Cpu {
            return Ok(self);
        }
        self.map(|tensor| Ok(tensor.f_to_device(device)?))
    }
}

/// Returns the weights of some samples as a tensor on the CPU, f32 \[samples\]; none for no weights.
pub(super) fn weights(weights: impl Iterator<Item = f32>) -> Result<Option<Tensor>, LibtorchError> {
    let weights: Vec<f32> = weights.collect();
    Ok(if weights.is_empty() { None } else { Some(Tensor::f_from_slice(&weights)?) })
}

/// Returns the shape of `count` samples.
pub(super) fn with_batch(count: usize, sample: &[usize]) -> Vec<i64> {
    std::iter::once(&count).chain(sample).map(|&size| size as i64).collect()
}

/// Returns the targets of some samples, all of the same kind, as a tensor on the CPU: of classes i64 \[samples\],
/// else f32 \[samples, targets\].
pub(super) fn targets<'a>(
    targets: impl ExactSizeIterator<Item = Target<'a>>,
) -> Result<Tensor, LibtorchError> {
    let samples = targets.len() as i64;
    let (mut classes, mut values) = (Vec::new(), Vec::new());
    classes.reserve_exact(targets.len());
    for target in targets {
        match target {
            Target::Class(class) => classes.push(i64::from(class)),
            Target::Labels(labels) => values.extend(labels.iter().map(|&label| f32::from(label))),
            Target::Numbers(numbers) => values.extend_from_slice(numbers),
        }
    }
    match values.is_empty() {
        true => Ok(Tensor::f_from_slice(&classes)?),
        false => Ok(Tensor::f_from_slice(&values)?.f_reshape([samples, -1])?),
    }
}
