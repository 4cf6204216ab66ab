//! Rows of the batch on their way through the layers, to the loss and back to the gradients of the layers'
//! outputs.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::kernels::{self, Target};
use super::mlp::Mlp;
use super::{Activations, CpuDense, split_off};
use crate::native::gemm::{Matrix, multiply};

impl CpuDense<'_> {
    /// The products of a wide layer, block by block.
    pub(super) fn products(&mut self, layer: usize, samples: usize) {
        struct Task<'a> {
            block: (usize, usize),
            first: usize,
            out: &'a mut [f32],
        }
        let (before, rest) = self.rows.layers.split_at_mut(layer);
        let input = before.last().map_or(&self.rows.input, |layer| &layer.outputs);
        let Some(rows) = rest.first_mut() else { return };
        let unit = self.stack.units[layer];
        // Rows of a block that are worth a task.
        let at_once = self.cut.samples.max(32);
        let mut products = &mut rows.products[..];
        let mut tasks: Vec<Task> = Vec::new();
        for block in unit.blocks() {
            // The batch may be the last, partial one; the places are those of whole ones.
            let own = split_off(&mut products, samples * block.1);
            let parts = own.chunks_mut(at_once * block.1).enumerate();
            tasks.extend(parts.map(|(i, out)| Task { block, first: i * at_once, out }));
        }
        // The owner's blocks first, and of those the ones that read the same rows behind each other.
        tasks.sort_by_key(|task| (task.block.0 >= unit.units / 2, task.first));
        let parameters = &self.parameters[..];
        let columns = Some(&self.rows.columns).filter(|columns| layer == 0 && !columns.is_all());
        let together = &self.rows.weights;
        self.team.each(&mut tasks, |task| {
            let (first, units) = task.block;
            let (weights, inputs) = match columns {
                None => (unit.block(parameters, task.block).0, unit.inputs),
                Some(columns) => {
                    let place = &together[first * unit.inputs..];
                    (Matrix::new(place, columns.count(), units, units), columns.count())
                }
            };
            let samples = task.out.len() / units;
            let input = &input[task.first * unit.inputs..];
            let input = Matrix::new(input, samples, inputs, unit.inputs);
            multiply(task.out, input, weights, false);
        });
    }

    /// Rows of the batch through a group of layers; behind the last group to the loss and back to the
    /// gradients of all layers' outputs. The loss is the mean over `batch` samples, of which these may be a
    /// part.
    pub(super) fn rows(&mut self, group: &Range<usize>, samples: usize, batch: usize) {
        struct Task<'a> {
            first: usize,
            labels: &'a [u32],
            layers: Vec<LayerTask<'a>>,
        }
        let Activations { input, layers, labels, .. } = &mut self.rows;
        let (stack, at_once) = (&self.stack, self.cut.samples);
        let mut tasks: Vec<Task> = labels[..samples]
            .chunks(at_once)
            .enumerate()
            .map(|(i, labels)| {
                let layers = Vec::with_capacity(stack.units.len());
                Task { first: i * at_once, labels, layers }
            })
            .collect();
        for (unit, rows) in stack.units.iter().zip(layers) {
            let (size, all) = (at_once * unit.units, samples * unit.units);
            let parts = (rows.outputs[..all].chunks_mut(size))
                .zip(rows.slopes[..all].chunks_mut(size))
                .zip(rows.gradients[..all].chunks_mut(size));
            let mut masks = rows.mask.chunks(at_once * unit.inputs);
            for (task, ((outputs, slopes), gradients)) in tasks.iter_mut().zip(parts) {
                let mask = masks.next().unwrap_or(&[]);
                let products = &rows.products[..];
                task.layers.push(LayerTask { products, outputs, slopes, gradients, mask });
            }
        }
        let target = Target { smoothing: self.label_smoothing, samples: batch };
        let parameters = &self.parameters[..];
        let is_last = group.end == stack.units.len();
        let seen = Mutex::new(Vec::with_capacity(tasks.len()));
        self.team.each(&mut tasks, |task| {
            let input = &input[task.first * stack.inputs..][..task.labels.len() * stack.inputs];
            forward(stack, group, parameters, input, &mut task.layers, (task.first, samples));
            if is_last {
                let sums = backward(stack, parameters, &mut task.layers, task.labels, target);
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push((task.first, sums));
            }
        });
        drop(tasks);
        let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        // In their order: a sum of floats depends on it.
        seen.sort_unstable_by_key(|(first, _)| *first);
        for (_, (loss, correct)) in seen {
            self.totals.loss += loss;
            self.totals.correct += correct;
        }
    }
}

/// The rows of one task in one layer.
struct LayerTask<'a> {
    /// Of all rows, by blocks.
    products: &'a [f32],
    outputs: &'a mut [f32],
    slopes: &'a mut [f32],
    gradients: &'a mut [f32],
    mask: &'a [f32],
}

/// Takes rows through a group of layers; `first` is their place in the batch of `samples`.
fn forward(
    stack: &Mlp,
    group: &Range<usize>,
    parameters: &[f32],
    input: &[f32],
    layers: &mut [LayerTask],
    (first, samples): (usize, usize),
) {
    for i in group.clone() {
        let unit = &stack.units[i];
        let (before, rest) = layers.split_at_mut(i);
        let x = before.last().map_or(input, |layer| &*layer.outputs);
        let Some((own, after)) = rest.split_first_mut() else { return };
        let rows = own.outputs.len() / unit.units;
        if unit.is_wide() {
            for block @ (start, units) in unit.blocks() {
                let (_, bias) = unit.block(parameters, block);
                let sums = &own.products[start * samples..][first * units..][..rows * units];
                kernels::with_bias(own.outputs, unit.units, start, sums, bias);
            }
        } else {
            let (weights, bias) = unit.block(parameters, (0, unit.units));
            let x = Matrix::new(x, rows, unit.inputs, unit.inputs);
            multiply(own.outputs, x, weights, false);
            kernels::add_to_rows(own.outputs, bias);
        }
        if i + 1 < stack.units.len() {
            kernels::activate(unit.activation, own.outputs, own.slopes);
        }
        if let (Some((_, rate)), Some(next)) = (unit.dropout, after.first()) {
            kernels::drop_out(own.outputs, next.mask, rate);
            kernels::drop_out(own.slopes, next.mask, rate);
        }
    }
}

/// From the logits back to the gradients of all layers' outputs; the sum of the losses, and how many
/// rows are right.
fn backward(
    stack: &Mlp,
    parameters: &[f32],
    layers: &mut [LayerTask],
    labels: &[u32],
    target: Target,
) -> (f64, i64) {
    let Some(last) = layers.last_mut() else { return (0.0, 0) };
    let sums = kernels::loss(last.outputs, labels, last.gradients, stack.outputs(), target);
    for (i, unit) in stack.units.iter().enumerate().skip(1).rev() {
        let (before, rest) = layers.split_at_mut(i);
        let (Some(inner), Some(own)) = (before.last_mut(), rest.first()) else { break };
        for block @ (start, units) in unit.blocks() {
            let outer = Matrix::new(&own.gradients[start..], labels.len(), units, unit.units);
            let (weights, _) = unit.block(parameters, block);
            multiply(inner.gradients, outer, weights.transposed(), start > 0);
        }
        kernels::scale_by(inner.gradients, inner.slopes);
    }
    sums
}
