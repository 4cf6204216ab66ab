//! A data set in a GPU's memory.

use std::ops::Range;

use tch::{Device, Tensor};

use super::batch::{Batch, targets, weights, with_batch};
use crate::data::dataset::Dataset;
use crate::data::features::Sample;
use crate::data::pixel_scale::SCALE;
use crate::native::{LibtorchError, tensor_buffer};

/// A data set in a GPU's memory.
pub(super) struct Resident {
    /// [n, …sample shape], u8 or f32
    samples: Tensor,
    /// i64 [n], or f32 [n, targets]
    targets: Tensor,
    /// f32 [n]; none if samples have no weights
    weights: Option<Tensor>,
    /// For pixels [`SCALE`] as an f32 on the device: CUDA would multiply by the reciprocal of a number from
    /// the host, and pixels would differ from the CPU's in their last bit.
    scale: Option<Tensor>,
}

impl Resident {
    /// Copies a data set to a device.
    pub fn new(dataset: &Dataset, device: Device) -> Result<Self, LibtorchError> {
        let (mut pixels, mut floats) = (Vec::new(), Vec::new());
        for i in 0..dataset.len() {
            match dataset.sample(i) {
                Sample::Pixels(own) => pixels.extend_from_slice(own),
                Sample::Floats(own) => floats.extend_from_slice(own),
            }
        }
        let (samples, scale) = match floats.is_empty() {
            true => (
                Tensor::f_from_slice(&pixels)?,
                Some(tensor_buffer::on_device(&[SCALE as f32], device)?),
            ),
            false => (Tensor::f_from_slice(&floats)?, None),
        };
        let shape = with_batch(dataset.len(), dataset.sample_shape());
        let targets = targets((0..dataset.len()).map(|i| dataset.target(i)))?;
        Ok(Self {
            samples: samples.f_reshape(shape)?.f_to_device(device)?,
            targets: targets.f_to_device(device)?,
            weights: match weights((0..dataset.len()).filter_map(|i| dataset.sample_weight(i)))? {
                Some(weights) => Some(weights.f_to_device(device)?),
                None => None,
            },
            scale,
        })
    }

    /// Returns consecutive samples.
    pub fn contiguous(&self, samples: Range<usize>) -> Result<Batch, LibtorchError> {
        let (start, count) = (samples.start as i64, samples.len() as i64);
        let targets = self.targets.f_narrow(0, start, count)?;
        Ok(Batch {
            inputs: self.scaled(self.samples.f_narrow(0, start, count)?)?,
            targets,
            weights: match &self.weights {
                Some(weights) => Some(weights.f_narrow(0, start, count)?),
                None => None,
            },
            mixed: None,
        })
    }

    pub fn gather(&self, chosen: &Tensor) -> Result<Batch, LibtorchError> {
        let samples = self.samples.f_index_select(0, chosen)?;
        let targets = self.targets.f_index_select(0, chosen)?;
        let weights = match &self.weights {
            Some(weights) => Some(weights.f_index_select(0, chosen)?),
            None => None,
        };
        Ok(Batch { inputs: self.scaled(samples)?, targets, weights, mixed: None })
    }

    /// Scales pixels to [0, 1].
    fn scaled(&self, samples: Tensor) -> Result<Tensor, LibtorchError> {
        match &self.scale {
            // One operation: the quotient of u8 and f32 is f32.
            Some(scale) => Ok(samples.f_div(scale)?),
            None => Ok(samples),
        }
    }
}
