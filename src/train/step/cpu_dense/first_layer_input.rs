//! The input of the first layer, built from the chosen samples.

use super::lists::split_off;
use super::targets::TargetsMut;
use super::{Activations, CpuDense, vector_loops};
use crate::data::batches::{ActiveColumns, HostBatches, Scratch, scale_columns};
use crate::rng::{self, Purpose};
use crate::train::step::engine::{BatchPart, StepContext};
use crate::train::step::weighted_loss::Objective;

/// The number of samples that are asked for before they are read.
const AHEAD: usize = 4;

/// Writes the targets of `sample`, which is in row `i` of its task.
fn write_targets(
    objective: &Objective,
    host_batches: HostBatches,
    (i, sample): (usize, u32),
    targets: &mut TargetsMut,
) {
    let each = objective.targets_per_sample();
    for (place, (sample, part)) in host_batches.parts(sample).into_iter().take(each).enumerate() {
        let (place, target) = (each * i + place, host_batches.target(sample));
        targets.set(place, target);
        if objective.is_weighted || objective.is_mixed {
            let weight = objective.weight(host_batches.weight(sample), target);
            targets.set_weight(place, part * weight);
        }
    }
}

impl CpuDense<'_> {
    /// Draws the masks of all Dropout layers for `samples` samples. They are parts of those of the whole batch, so that
    /// they do not depend on how it is split.
    pub(super) fn draw_masks(&mut self, context: StepContext, part: BatchPart, samples: usize) {
        let StepContext { seed, number: step, .. } = context;
        let layers = self.stack.units.iter().zip(self.stack.dropouts()).zip(&mut self.rows.layers);
        let dense = layers.filter_map(|((dense, dropout), rows)| {
            let (layer, rate) = dropout?;
            Some((layer, rate, dense.inputs, &mut rows.mask[..]))
        });
        let pictures = self.pictures.iter_mut().flat_map(|pictures| pictures.masks());
        for (layer, rate, width, place) in pictures.chain(dense) {
            let seed = rng::derive(seed, Purpose::Dropout, &[step, layer as u64]);
            rng::bernoulli(&mut place[..samples * width], part.first * width, 1.0 - rate, seed);
        }
    }

    /// Gathers the samples' values and targets; before a wide layer only the active columns, and the
    /// weights that belong to them.
    pub(super) fn gather(&mut self, host_batches: HostBatches, chosen: &[u32]) {
        struct Task<'a> {
            chosen: &'a [u32],
            input: &'a mut [f32],
            targets: TargetsMut<'a>,
            mask: &'a [f32],
            marks: &'a mut [u8],
            scratch: &'a mut Scratch,
        }
        let at_once = self.cut.samples;
        let Activations { input, targets, layers, scratch, marks, columns, .. } = &mut self.rows;
        let dense_mask = layers.first().map_or(&[][..], |layer| &layer.mask);
        let (inputs, input, mask) = match &mut self.pictures {
            Some(pictures) => (pictures.stack.inputs(), &mut pictures.samples, &[][..]),
            None => (self.stack.inputs, input, dense_mask),
        };
        let objective = &self.objective;
        let rate = self.stack.dropout.map_or(0.0, |(_, rate)| rate);
        let looks = !marks.is_empty();
        let mut masks = mask.chunks(at_once * inputs);
        let mut all_marks = marks.chunks_mut(inputs);
        let mut tasks: Vec<Task> = chosen
            .chunks(at_once)
            .zip(input.chunks_mut(at_once * inputs))
            .zip(targets.chunks_mut(at_once).zip(scratch))
            .map(|((chosen, input), (targets, scratch))| {
                let mask = masks.next().unwrap_or(&[]);
                let marks = all_marks.next().unwrap_or(&mut []);
                Task { chosen, input, targets, mask, marks, scratch }
            })
            .collect();
        // Pixels that nothing changes are marked in place, and written once the active columns are known.
        let plain = |sample| host_batches.plain(sample).filter(|_| looks && mask.is_empty());
        self.team.each(&mut tasks, |task| {
            task.marks.fill(0);
            let mut masks = task.mask.chunks_exact(inputs);
            let rows = task.input.chunks_exact_mut(inputs);
            let ask_for = |sample: &u32| host_batches.prefetch(*sample);
            task.chosen.iter().take(AHEAD).for_each(ask_for);
            for (i, (&sample, row)) in task.chosen.iter().zip(rows).enumerate() {
                task.chosen.get(i + AHEAD).into_iter().for_each(ask_for);
                write_targets(objective, host_batches, (i, sample), &mut task.targets);
                if let Some(pixels) = plain(sample) {
                    vector_loops::mark_pixels(task.marks, pixels);
                    continue;
                }
                host_batches.write(sample, row, task.scratch);
                masks.next().into_iter().for_each(|mask| vector_loops::drop_out(row, mask, rate));
                vector_loops::mark(task.marks, row);
            }
        });
        if !looks {
            return;
        }
        let (seen, others) = marks.split_at_mut(inputs);
        let others = others.chunks_exact(inputs).take(chosen.len().div_ceil(at_once) - 1);
        others.for_each(|marks| vector_loops::mark_pixels(seen, marks));
        *columns = ActiveColumns::marked(seen);
        self.compact(host_batches, chosen);
    }

    /// Packs the values of the active columns together: the rows of the batch, and the weights.
    fn compact(&mut self, host_batches: HostBatches, chosen: &[u32]) {
        enum Task<'a> {
            Activations(&'a [u32], &'a mut [f32]),
            Weights(&'a [f32], usize, &'a mut [f32]),
        }
        let (inputs, at_once) = (self.stack.inputs, self.cut.samples);
        let Activations { input, layers, columns, weights, .. } = &mut self.rows;
        let columns = &*columns;
        let is_masked = layers.first().is_some_and(|layer| !layer.mask.is_empty());
        let rows = chosen.chunks(at_once).zip(input.chunks_mut(at_once * inputs));
        let mut tasks: Vec<Task> =
            rows.map(|(chosen, input)| Task::Activations(chosen, input)).collect();
        let mut places = &mut weights[..];
        if let (Some(dense), false) = (self.stack.units.first(), columns.is_all()) {
            for (first, units) in dense.blocks() {
                let own = &self.parameters[dense.block_start(first)..];
                let place = split_off(&mut places, inputs * units);
                tasks.push(Task::Weights(own, units, place));
            }
        }
        self.team.each(&mut tasks, |task| match task {
            Task::Activations(chosen, input) => {
                for (&sample, row) in chosen.iter().zip(input.chunks_exact_mut(inputs)) {
                    match host_batches.plain(sample).filter(|_| !is_masked) {
                        Some(pixels) => scale_columns(row, pixels, columns),
                        None if columns.is_all() => {}
                        None => columns.compact(row),
                    }
                }
            }
            Task::Weights(own, units, place) => {
                for run in columns.runs() {
                    let own = &own[run.columns.start * *units..run.columns.end * *units];
                    place[run.place * *units..][..own.len()].copy_from_slice(own);
                }
            }
        });
    }
}
