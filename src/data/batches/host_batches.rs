//! Samples in the host's memory, one by one, as an epoch of training sees them.

use tch::Tensor;

use super::batch::{Batch, targets, weights, with_batch};
use super::scale_pixels::scale;
use crate::data::augment::{Augmenter, Mix, Scratch};
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

    /// Returns the position of each of the two samples that the sample at a position is mixed from, and its fraction of
    /// the loss; the larger first. Of a sample that is not mixed the second is 0.
    pub fn parts(&self, place: u32) -> [(u32, f32); 2] {
        let other = match (self.augmenter, self.mix(place)) {
            (Some(augmenter), Some(mix)) => (mix.partner, augmenter.fraction(&mix)),
            _ => (place, 0.0),
        };
        let own = (place, 1.0 - other.1);
        if other.1 > 0.5 { [other, own] } else { [own, other] }
    }

    /// Returns what is mixed into the sample at a position. Others than its own are in memory: see
    /// [`check_for`](crate::data::Augment::check_for).
    fn mix(&self, place: u32) -> Option<Mix> {
        match self.samples {
            Samples::Set(dataset) => self.augmenter?.mix(self.epoch, place, dataset.len()),
            Samples::SampleBlock(_) => None,
        }
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
                self.mix_in(place, augmenter, out, scratch);
            }
        }
    }

    fn mix_in(&self, place: u32, augmenter: &Augmenter, out: &mut [f32], scratch: &mut Scratch) {
        let Some(mix) = self.mix(place) else { return };
        if let Sample::Pixels(other) = self.samples.values(mix.partner) {
            augmenter.mix_in(self.epoch, &mix, other, out, scratch);
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
        if self.augmenter.is_some_and(Augmenter::mixes) {
            let [(targets, weights), mixed] = self.mixed_targets(chosen)?;
            return Ok(Batch { inputs, targets, weights: Some(weights), mixed: Some(mixed) });
        }
        let targets = targets(chosen.iter().map(|&place| self.target(place)))?;
        let weights = weights(chosen.iter().filter_map(|&place| self.weight(place)))?;
        Ok(Batch { inputs, targets, weights, mixed: None })
    }

    /// Returns the targets of the larger and of the smaller parts of some samples, and their weights.
    fn mixed_targets(&self, chosen: &[u32]) -> Result<[(Tensor, Tensor); 2], LibtorchError> {
        let parts: Vec<[(u32, f32); 2]> = chosen.iter().map(|&place| self.parts(place)).collect();
        let of = |which: usize| {
            let parts = parts.iter().map(move |parts| parts[which]);
            let weight = |(place, part)| part * self.weight(place).unwrap_or(1.0);
            let weights: Vec<f32> = parts.clone().map(weight).collect();
            let targets = targets(parts.map(|(place, _)| self.target(place)))?;
            Ok::<_, LibtorchError>((targets, Tensor::f_from_slice(&weights)?))
        };
        Ok([of(0)?, of(1)?])
    }
}
