//! The passes of the layers on pictures: groups of samples in parallel, one sample after the other through all layers
//! as far as none of them needs the whole batch.

use std::cell::RefCell;
use std::ops::Range;

use super::super::lists::{split_off, zeros};
use super::super::work_plan::PictureTile;
use super::elementwise::{by_channel, interleave};
use super::picture_layer::{Backward, Forward, Scratch, Shared};
use super::picture_loops;
use super::stack::{PictureStack, PlacedLayer};
use crate::native::LibtorchError;
use crate::native::aligned_memory::AlignedFloats;
use crate::native::thread_pool::Team;

thread_local! {
    /// The buffers that a thread needs for a sample: the layers' own buffers, and the gradients of an output and an input.
    static SUMS: RefCell<AlignedFloats> = const { RefCell::new(AlignedFloats::new()) };
    static SCRATCH: RefCell<(Scratch, [AlignedFloats; 2])> = RefCell::default();
}

/// The layers on pictures with their values for a batch.
pub struct Pictures {
    pub stack: PictureStack,
    /// Samples of a group.
    group: usize,
    /// [batch, channels, height, width]
    pub samples: AlignedFloats,
    layers: Vec<LayerValues>,
    combined: Vec<Combined>,
    packed: AlignedFloats,
    /// [groups, gradients]: the sums over the samples of each group.
    gradients: AlignedFloats,
    /// The layers' buffers, such as running statistics.
    pub buffers: Vec<f32>,
}

/// The values of a layer, one row for each sample.
struct LayerValues {
    outputs: AlignedFloats,
    kept: AlignedFloats,
    /// The random numbers of a Dropout.
    mask: AlignedFloats,
    statistics: AlignedFloats,
}

/// The statistics of the batch.
struct Combined {
    statistics: Vec<f32>,
    gradient_statistics: Vec<f32>,
}

/// A group of samples.
struct Group<'a> {
    samples: &'a [f32],
    layers: Vec<LayerGroup<'a>>,
    /// The values that the Dense layers get, or their gradients.
    features: &'a mut [f32],
    gradients: &'a mut [f32],
}

/// The rows of a group in one layer.
struct LayerGroup<'a> {
    outputs: &'a mut [f32],
    kept: &'a mut [f32],
    mask: &'a [f32],
    statistics: &'a mut [f32],
}

/// Returns the part of one sample of rows of `width` values.
fn row(values: &[f32], sample: usize, width: usize) -> &[f32] {
    &values[sample * width..(sample + 1) * width]
}

fn row_mut(values: &mut [f32], sample: usize, width: usize) -> &mut [f32] {
    &mut values[sample * width..(sample + 1) * width]
}

impl Pictures {
    pub fn new(stack: PictureStack, batch: usize) -> Result<Self, LibtorchError> {
        // At most sixteen groups: each has its own sums of gradients.
        let group = batch.div_ceil(16).max(4);
        let mut layers = Vec::new();
        let mut combined = Vec::new();
        for placed in &stack.layers {
            let own = &placed.layer;
            let rows = |width: usize| zeros(batch.saturating_mul(width));
            layers.push(LayerValues {
                outputs: rows(own.output().len())?,
                kept: rows(own.kept())?,
                mask: rows(own.dropout().map_or(0, |(_, count)| count))?,
                statistics: rows(own.statistics())?,
            });
            let values = vec![0.0; own.statistics()];
            combined.push(Combined { statistics: values.clone(), gradient_statistics: values });
        }
        Ok(Self {
            group,
            samples: zeros(batch.saturating_mul(stack.inputs()))?,
            layers,
            combined,
            packed: zeros(stack.packed())?,
            gradients: zeros(batch.div_ceil(group).saturating_mul(stack.gradients()))?,
            buffers: vec![0.0; stack.buffers()],
            stack,
        })
    }

    /// Returns each Dropout: the index of its layer, its rate, its numbers for a sample, and the place for them.
    pub fn masks(&mut self) -> impl Iterator<Item = (usize, f64, usize, &mut [f32])> {
        self.stack.layers.iter().zip(&mut self.layers).filter_map(|(placed, values)| {
            let (rate, count) = placed.layer.dropout()?;
            Some((placed.index, rate, count, &mut values.mask[..]))
        })
    }

    /// Writes the gradient of a tile of the weights: the sum over the groups, in their order.
    pub fn gradient(&self, tile: &PictureTile, samples: usize, out: &mut [f32]) {
        let parameter = &self.stack.layers[tile.layer].parameters[tile.parameter];
        let (length, groups) = (self.stack.gradients(), samples.div_ceil(self.group));
        SUMS.with_borrow_mut(|sums| {
            let rows = out.chunks_exact_mut(parameter.places.len());
            for (first, out) in (tile.gradient..).step_by(parameter.stride).zip(rows) {
                sums.resize(parameter.stride);
                sums.fill(0.0);
                for group in self.gradients.chunks_exact(length).take(groups) {
                    picture_loops::add(sums, &group[first..][..parameter.stride]);
                }
                let values = parameter.places.iter().map(|&place| sums[place as usize]);
                out.iter_mut().zip(values).for_each(|(out, value)| *out = value);
            }
        });
    }

    /// Writes the parameters in the order in which the passes read them.
    pub fn pack(&mut self, team: &mut Team, parameters: &[f32]) {
        let mut rest = &mut self.packed[..];
        let mut tasks: Vec<(&PlacedLayer, &mut [f32])> = Vec::new();
        for placed in &self.stack.layers {
            let place = split_off(&mut rest, placed.packed.len());
            if !place.is_empty() {
                tasks.push((placed, place));
            }
        }
        team.each(&mut tasks, |(placed, place)| {
            placed.layer.pack(&parameters[placed.own.clone()], place);
        });
    }

    /// Takes the samples through all layers to the values that the Dense layers get.
    pub fn forward(&mut self, team: &mut Team, samples: usize, features: &mut [f32]) {
        let mut first = 0;
        while first < self.stack.layers.len() {
            let end = self.end(first);
            self.forward_part(team, first..end, samples, features);
            if let Some(placed) = self.stack.layers.get(end) {
                let measured = &self.layers[end].statistics[..samples * placed.layer.statistics()];
                let buffers = &mut self.buffers[placed.buffers.clone()];
                placed.layer.combine(measured, &mut self.combined[end].statistics, buffers);
            }
            first = end;
        }
    }

    /// Returns the end of the layers from `first` on that a sample passes at once: the next layer that needs the whole
    /// batch.
    fn end(&self, first: usize) -> usize {
        let count = self.stack.layers.len();
        (first + 1..count).find(|&layer| self.needs_batch(layer)).unwrap_or(count)
    }

    /// Returns whether a layer has statistics of the whole batch.
    fn needs_batch(&self, layer: usize) -> bool {
        self.stack.layers[layer].layer.statistics() > 0
    }

    fn forward_part(
        &mut self,
        team: &mut Team,
        part: Range<usize>,
        samples: usize,
        features: &mut [f32],
    ) {
        let (whole, mut groups) = self.groups(samples, features);
        team.each(&mut groups, |group| {
            SCRATCH.with_borrow_mut(|(scratch, _)| {
                for sample in 0..group.samples.len() / whole.stack.inputs() {
                    group.forward(whole, part.clone(), sample, scratch);
                }
            });
        });
    }

    /// Takes the gradients of the values that the Dense layers got back through all layers.
    pub fn backward(&mut self, team: &mut Team, samples: usize, features: &mut [f32]) {
        let mut end = self.stack.layers.len();
        let mut is_first = true;
        while end > 0 {
            // A layer that needs the whole batch begins the part after the one that measures its gradient.
            let last = if is_first { end } else { end - 1 };
            let first =
                (0..last).rev().find(|&layer| self.needs_batch(layer)).map_or(0, |layer| layer + 1);
            self.backward_part(team, first..end, samples, features, is_first);
            if first > 0 {
                let own = &self.stack.layers[first - 1].layer;
                let measured = &self.layers[first - 1].statistics[..samples * own.statistics()];
                let combined = &mut self.combined[first - 1].gradient_statistics;
                own.combine_gradient(measured, combined);
            }
            (end, is_first) = (first, false);
        }
    }

    fn backward_part(
        &mut self,
        team: &mut Team,
        part: Range<usize>,
        samples: usize,
        features: &mut [f32],
        is_first: bool,
    ) {
        let (whole, mut groups) = self.groups(samples, features);
        team.each(&mut groups, |group| {
            if is_first {
                group.gradients.fill(0.0);
            }
            SCRATCH.with_borrow_mut(|scratch| {
                let stack = whole.stack;
                for sample in 0..group.samples.len() / stack.inputs() {
                    group.first_gradient(stack, part.end, sample, is_first, &mut scratch.1[0]);
                    group.backward(whole, part.clone(), sample, scratch);
                }
            });
        });
    }

    /// Divides the first `samples` rows of all values into groups, and returns what all of them read.
    fn groups<'a>(
        &'a mut self,
        samples: usize,
        features: &'a mut [f32],
    ) -> (Whole<'a>, Vec<Group<'a>>) {
        let (stack, packed, combined) = (&self.stack, &self.packed[..], &self.combined[..]);
        let chunk = |width: usize| (self.group * width).max(1);
        let inputs = stack.inputs();
        let mut gradients = self.gradients.chunks_mut(stack.gradients().max(1));
        let mut groups: Vec<Group> = (self.samples[..samples * inputs].chunks(chunk(inputs)))
            .zip(features.chunks_mut(chunk(stack.features())))
            .map(|(samples, features)| {
                let layers = Vec::with_capacity(stack.layers.len());
                let gradients = gradients.next().unwrap_or_default();
                Group { samples, layers, features, gradients }
            })
            .collect();
        for (placed, values) in stack.layers.iter().zip(&mut self.layers) {
            let own = &placed.layer;
            let mut outputs = values.outputs.chunks_mut(chunk(own.output().len()));
            let mut kept = values.kept.chunks_mut(chunk(own.kept()));
            let mut masks = values.mask.chunks(chunk(own.dropout().map_or(0, |(_, count)| count)));
            let mut statistics = values.statistics.chunks_mut(chunk(own.statistics()));
            for group in &mut groups {
                group.layers.push(LayerGroup {
                    outputs: outputs.next().unwrap_or_default(),
                    kept: kept.next().unwrap_or_default(),
                    mask: masks.next().unwrap_or_default(),
                    statistics: statistics.next().unwrap_or_default(),
                });
            }
        }
        (Whole { stack, packed, combined }, groups)
    }
}

/// What all groups read.
#[derive(Clone, Copy)]
struct Whole<'a> {
    stack: &'a PictureStack,
    packed: &'a [f32],
    combined: &'a [Combined],
}

impl<'a> Whole<'a> {
    /// Returns what a layer reads of it.
    fn of_layer(self, layer: usize) -> Shared<'a> {
        Shared {
            packed: &self.packed[self.stack.layers[layer].packed.clone()],
            statistics: &self.combined[layer].statistics,
            gradient_statistics: &self.combined[layer].gradient_statistics,
        }
    }
}

impl Group<'_> {
    /// Takes a sample through some layers, and measures it for the next.
    fn forward(&mut self, whole: Whole, part: Range<usize>, sample: usize, scratch: &mut Scratch) {
        let stack = whole.stack;
        for layer in part.clone() {
            let placed = &stack.layers[layer];
            let own = &placed.layer;
            let (before, rest) = self.layers.split_at_mut(layer);
            let x = input(stack, self.samples, before, sample);
            let Some(LayerGroup { outputs, kept, mask, .. }) = rest.first_mut() else { return };
            own.forward(Forward {
                x,
                other_end: placed
                    .begins_at
                    .map_or(&[], |first| row(before[first].outputs, sample, own.output().len())),
                y: row_mut(outputs, sample, own.output().len()),
                kept: row_mut(kept, sample, own.kept()),
                mask: row(mask, sample, own.dropout().map_or(0, |(_, count)| count)),
                shared: whole.of_layer(layer),
                scratch,
            });
        }
        let (before, rest) = self.layers.split_at_mut(part.end);
        let x = input(stack, self.samples, before, sample);
        match (stack.layers.get(part.end), rest.first_mut()) {
            (Some(next), Some(values)) => {
                let width = next.layer.statistics();
                next.layer.measure(x, row_mut(values.statistics, sample, width));
            }
            _ => by_channel(stack.output(), x, row_mut(self.features, sample, stack.features())),
        }
    }

    /// Writes the gradient of a sample's output of the last layers before `end`: that of the Dense layers, or what a
    /// layer that measured it has written over its output.
    fn first_gradient(
        &self,
        stack: &PictureStack,
        end: usize,
        sample: usize,
        is_first: bool,
        dy: &mut AlignedFloats,
    ) {
        if is_first {
            dy.resize(stack.output().len());
            interleave(stack.output(), row(self.features, sample, stack.features()), dy);
        } else {
            let width = stack.layers[end - 1].layer.output().len();
            dy.set(row(self.layers[end - 1].outputs, sample, width));
        }
    }

    /// Takes the gradient of a sample back through some layers, and measures it for the layer before.
    fn backward(
        &mut self,
        whole: Whole,
        part: Range<usize>,
        sample: usize,
        (scratch, [dy, dx]): &mut (Scratch, [AlignedFloats; 2]),
    ) {
        let stack = whole.stack;
        for layer in part.clone().rev() {
            let placed = &stack.layers[layer];
            if !placed.passes_back && placed.parameters.is_empty() {
                return;
            }
            let x = input(stack, self.samples, &self.layers[..layer], sample);
            dx.resize(if placed.passes_back { x.len() } else { 0 });
            let (values, width) = (&self.layers[layer], placed.layer.output().len());
            placed.layer.backward(Backward {
                x,
                other_end: placed
                    .ends_at
                    .map_or(&[], |last| row(self.layers[last].outputs, sample, width)),
                y: row(values.outputs, sample, width),
                kept: row(values.kept, sample, placed.layer.kept()),
                mask: row(values.mask, sample, placed.layer.dropout().map_or(0, |(_, n)| n)),
                shared: whole.of_layer(layer),
                dy,
                dx: placed.passes_back.then_some(&mut dx[..]),
                gradients: &mut self.gradients[placed.gradients.clone()],
                scratch,
            });
            if placed.begins_at.is_some() {
                // For the beginning of the block: all that reads the output has run.
                row_mut(self.layers[layer].outputs, sample, width).copy_from_slice(dy);
            }
            std::mem::swap(dy, dx);
        }
        let Some(layer) = part.start.checked_sub(1) else { return };
        let placed = &stack.layers[layer];
        let (before, rest) = self.layers.split_at_mut(layer);
        let x = input(stack, self.samples, before, sample);
        let Some(LayerGroup { outputs, statistics, .. }) = rest.first_mut() else { return };
        let y = row_mut(outputs, sample, placed.layer.output().len());
        let own = Backward {
            x,
            other_end: &[],
            y,
            kept: &[],
            mask: &[],
            shared: whole.of_layer(layer),
            dy,
            dx: None,
            gradients: &mut self.gradients[placed.gradients.clone()],
            scratch,
        };
        placed.layer.measure_gradient(own, row_mut(statistics, sample, placed.layer.statistics()));
        y.copy_from_slice(dy);
    }
}

/// Returns the input of the layer after those `before`.
fn input<'a>(
    stack: &PictureStack,
    samples: &'a [f32],
    before: &'a [LayerGroup],
    sample: usize,
) -> &'a [f32] {
    match before.last() {
        None => row(samples, sample, stack.inputs()),
        Some(values) => {
            let width = stack.layers[before.len() - 1].layer.output().len();
            row(values.outputs, sample, width)
        }
    }
}
