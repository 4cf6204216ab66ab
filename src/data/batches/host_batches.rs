//! Samples in the host's memory, one by one, as an epoch of training sees them.

use super::batch::{Batch, targets, weights, with_batch};
use super::scale_pixels::scale;
use crate::data::augment::{Augmenter, Scratch};
use crate::data::dataset::Dataset;
use crate::data::features::Sample;
use crate::data::stream::SampleBlock;
use crate::data::targets::Target;
use crate::native::prefetch::prefetch;
use crate::native::{LibtorchError, tensor_buffer};

/// Samples in the host's memory, one by one, as an epoch of training sees them.
#[derive(Clone, Copy)]
pub(crate) struct HostBatches<'a> {
    pub(super) samples: Samples<'a>,
    pub(super) augmenter: Option<&'a Augmenter>,
    pub(super) epoch: usize,
}

/// Where samples are, each by its position there.
#[derive(Clone, Copy)]
pub(super) enum Samples<'a> {
    Set(&'a Dataset),
    SampleBlock(&'a SampleBlock),
}

impl<'a> Samples<'a> {
    fn values(self, place: u32) -> Sample<'a> {
        match self {
            Self::Set(dataset) => dataset.sample(place as usize),
            Self::SampleBlock(block) => Sample::Pixels(block.image(place as usize)),
        }
    }

    fn target(self, place: u32) -> Target<'a> {
        match self {
            Self::Set(dataset) => dataset.target(place as usize),
            Self::SampleBlock(block) => Target::Class(block.label(place as usize)),
        }
    }

    /// Returns the sample's weight in the loss; none if all have the same.
    fn weight(self, place: u32) -> Option<f32> {
        match self {
            Self::Set(dataset) => dataset.sample_weight(place as usize),
            Self::SampleBlock(_) => None,
        }
    }

    /// Returns the sample's number in the data set, which determines how it is deformed.
    fn sample(self, place: u32) -> u32 {
        match self {
            Self::Set(_) => place,
            Self::SampleBlock(block) => block.sample(place as usize),
        }
    }

    /// Returns the shape of the samples.
    fn shape(self) -> &'a [usize] {
        match self {
            Self::Set(dataset) => dataset.sample_shape(),
            Self::SampleBlock(block) => block.shape(),
        }
    }
}

impl HostBatches<'_> {
    /// Returns the target of the sample at a position.
    pub fn target(&self, place: u32) -> Target<'_> {
        self.samples.target(place)
    }

    /// Returns the weight in the loss of the sample at a position; none if all have the same.
    pub fn weight(&self, place: u32) -> Option<f32> {
        self.samples.weight(place)
    }

    /// Writes a sample's values as f32: numbers as they are, pixels scaled to [0, 1], deformed if augmentation is
    /// on.
    pub fn write(&self, place: u32, out: &mut [f32], scratch: &mut Scratch) {
        match (self.samples.values(place), self.augmenter) {
            (Sample::Floats(values), _) => out.copy_from_slice(values),
            (Sample::Pixels(image), None) => scale(out, image),
            (Sample::Pixels(image), Some(augmenter)) => {
                let draw = augmenter.draw(self.epoch, self.samples.sample(place));
                augmenter.apply(&draw, image, out, scratch);
            }
        }
    }

    /// Asks the processor for a sample that is [written](Self::write) soon.
    pub fn prefetch(&self, place: u32) {
        match self.samples.values(place) {
            Sample::Floats(values) => prefetch(values),
            Sample::Pixels(pixels) => prefetch(pixels),
        }
    }

    /// Returns the sample's own pixels, if it has any and augmentation is off.
    pub fn plain(&self, place: u32) -> Option<&[u8]> {
        match self.samples.values(place) {
            Sample::Pixels(pixels) if self.augmenter.is_none() => Some(pixels),
            _ => None,
        }
    }

    /// Returns the samples at some positions as a batch on the CPU.
    pub(super) fn batch(&self, chosen: &[u32]) -> Result<Batch, LibtorchError> {
        let sample = self.samples.shape();
        let shape = with_batch(chosen.len(), sample);
        let mut scratch = Scratch::default();
        let inputs = tensor_buffer::filled_f32(&shape, |out| {
            let each = sample.iter().product::<usize>().max(1);
            for (out, &place) in out.chunks_exact_mut(each).zip(chosen) {
                self.write(place, out, &mut scratch);
            }
        })?;
        let targets = targets(chosen.iter().map(|&place| self.target(place)))?;
        let weights = weights(chosen.iter().filter_map(|&place| self.weight(place)))?;
        Ok(Batch { inputs, targets, weights })
    }
}
