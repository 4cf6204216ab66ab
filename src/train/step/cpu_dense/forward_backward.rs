//! The forward and backward pass of rows of the batch: through the layers, to the loss and back to the
//! gradients of the layers' outputs.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::dense_stack::{DenseLayer, Mlp};
use super::lists::split_off;
use super::targets::TargetRows;
use super::vector_loops;
use super::{Activations, CpuDense};
use crate::losses::{Correct, RowLoss, RowTarget};
use crate::native::gemm::{Matrix, is_order_fixed, multiply};

impl CpuDense<'_> {
    /// Takes the samples through the layers on pictures, if there are any, to the input of the first Dense layer.
    pub(super) fn pictures_forward(&mut self, samples: usize) {
        let Some(pictures) = &mut self.pictures else { return };
        pictures.pack(&mut self.team, &self.parameters);
        pictures.forward(&mut self.team, samples, &mut self.rows.input);
        if let (Some((_, rate)), Some(layer)) = (self.stack.dropout, self.rows.layers.first()) {
            let count = samples * self.stack.inputs;
            vector_loops::drop_out(&mut self.rows.input[..count], &layer.mask, rate);
        }
    }

    /// Takes the gradients of the first Dense layer's input back through the layers on pictures.
    pub(super) fn pictures_backward(&mut self, samples: usize) {
        let Some(pictures) = &mut self.pictures else { return };
        if let (Some((_, rate)), Some(layer)) = (self.stack.dropout, self.rows.layers.first()) {
            let count = samples * self.stack.inputs;
            vector_loops::drop_out(&mut self.rows.input_gradient[..count], &layer.mask, rate);
        }
        pictures.backward(&mut self.team, samples, &mut self.rows.input_gradient);
    }

    /// Computes the products of a wide layer, block by block, and its transposed weights.
    pub(super) fn products(&mut self, layer: usize, samples: usize) {
        struct Task<'a> {
            block: (usize, usize),
            first: usize,
            out: &'a mut [f32],
            /// The place of the block's transposed weights, in one of its tasks; empty in the others.
            transposed: &'a mut [f32],
        }
        let (before, rest) = self.rows.layers.split_at_mut(layer);
        let input = before.last().map_or(&self.rows.input, |layer| &layer.outputs);
        let Some(rows) = rest.first_mut() else { return };
        let dense = self.stack.units[layer];
        // The number of rows of a block that is worth a task.
        let at_once = self.cut.samples.max(32);
        let (mut products, mut transposed) = (&mut rows.products[..], &mut rows.transposed[..]);
        let mut tasks: Vec<Task> = Vec::new();
        for block in dense.blocks() {
            // The batch may be the last, partial one; the offsets are those of full batches.
            let own = split_off(&mut products, samples * block.1);
            let mut weights = split_off(&mut transposed, dense.inputs * block.1);
            let parts = own.chunks_mut(at_once * block.1).enumerate();
            tasks.extend(parts.map(|(i, out)| Task {
                block,
                first: i * at_once,
                out,
                transposed: std::mem::take(&mut weights),
            }));
        }
        // The owner's blocks come first, and blocks that read the same rows come one after the other.
        tasks.sort_by_key(|task| (task.block.0 >= dense.units / 2, task.first));
        let parameters = &self.parameters[..];
        let columns = Some(&self.rows.columns).filter(|columns| layer == 0 && !columns.is_all());
        let together = &self.rows.weights;
        self.team.each(&mut tasks, |task| {
            let (first, units) = task.block;
            let (weights, inputs) = match columns {
                None => (dense.block(parameters, task.block).0, dense.inputs),
                Some(columns) => {
                    let place = &together[first * dense.inputs..];
                    (Matrix::new(place, columns.count(), units, units), columns.count())
                }
            };
            let samples = task.out.len() / units;
            let input = &input[task.first * dense.inputs..];
            let input = Matrix::new(input, samples, inputs, dense.inputs);
            multiply(task.out, input, weights, false);
            if !task.transposed.is_empty() {
                let (own, _) = dense.block_values(parameters, task.block);
                vector_loops::transpose(task.transposed, own, units);
            }
        });
    }

    /// Takes rows of the batch through a group of layers; after the last group to the loss and back to
    /// the gradients of all layers' outputs. The loss is the mean over `batch` samples, of which these
    /// may be a part.
    pub(super) fn rows(&mut self, group: &Range<usize>, samples: usize, batch: usize) {
        struct Task<'a> {
            first: usize,
            targets: TargetRows<'a>,
            layers: Vec<LayerTask<'a>>,
            input_gradient: &'a mut [f32],
        }
        let Activations { input, input_gradient, layers, targets, .. } = &mut self.rows;
        let (mlp, at_once) = (&self.stack, self.cut.samples);
        let mut input_gradients = input_gradient.chunks_mut(at_once * mlp.inputs);
        let mut tasks: Vec<Task> = targets
            .chunks(samples, at_once)
            .enumerate()
            .map(|(i, targets)| {
                let layers = Vec::with_capacity(mlp.units.len());
                let input_gradient = input_gradients.next().unwrap_or_default();
                Task { first: i * at_once, targets, layers, input_gradient }
            })
            .collect();
        for (dense, rows) in mlp.units.iter().zip(layers) {
            let (size, all) = (at_once * dense.units, samples * dense.units);
            let parts = (rows.outputs[..all].chunks_mut(size))
                .zip(rows.slopes[..all].chunks_mut(size))
                .zip(rows.gradients[..all].chunks_mut(size));
            let mut masks = rows.mask.chunks(at_once * dense.inputs);
            for (task, ((outputs, slopes), gradients)) in tasks.iter_mut().zip(parts) {
                let mask = masks.next().unwrap_or(&[]);
                let (products, transposed) = (&rows.products[..], &rows.transposed[..]);
                task.layers.push(LayerTask {
                    products,
                    outputs,
                    slopes,
                    gradients,
                    mask,
                    transposed,
                });
            }
        }
        let Some(loss) = self.objective.loss.rows() else {
            unreachable!("this engine is chosen for losses that it accepts");
        };
        let loss = BatchLoss { loss, correct: self.objective.correct, samples: batch };
        let parameters = &self.parameters[..];
        let is_last = group.end == mlp.units.len();
        let seen = Mutex::new(Vec::with_capacity(tasks.len()));
        self.team.each(&mut tasks, |task| {
            let input = &input[task.first * mlp.inputs..][..task.targets.len() * mlp.inputs];
            forward(mlp, group, parameters, input, &mut task.layers, (task.first, samples));
            if is_last {
                let sums = backward(mlp, parameters, &mut task.layers, task.targets, loss);
                if let (Some(dense), Some(own), false) =
                    (mlp.units.first(), task.layers.first(), task.input_gradient.is_empty())
                {
                    let rows = task.targets.len();
                    let gradients = &mut task.input_gradient[..rows * mlp.inputs];
                    own.write_input_gradients(dense, parameters, gradients, rows);
                }
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push((task.first, sums));
            }
        });
        drop(tasks);
        let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        // The sums are added in order, since a sum of floats depends on it.
        seen.sort_unstable_by_key(|(first, _)| *first);
        for (_, (loss, correct)) in seen {
            self.totals.loss += loss;
            self.totals.correct += correct;
        }
    }
}

/// The loss of a batch.
#[derive(Clone, Copy)]
struct BatchLoss<'a> {
    loss: &'a dyn RowLoss,
    correct: Correct,
    /// Samples of the whole batch, of which the loss is the mean.
    samples: usize,
}

impl BatchLoss<'_> {
    /// Computes the loss of rows of `width` outputs; returns the sum of their values and the number of correct
    /// predictions, by the first target of each. `gradients` become those of the batch's mean loss.
    fn of_rows(
        self,
        outputs: &[f32],
        targets: TargetRows,
        gradients: &mut [f32],
        width: usize,
    ) -> (f64, i64) {
        let (mut sum, mut correct) = (0.0, 0);
        let mut other = vec![0.0; if targets.each() > 1 { width } else { 0 }];
        let mut parts = targets.rows();
        for (outputs, gradient) in
            outputs.chunks_exact(width).zip(gradients.chunks_exact_mut(width))
        {
            if let Some((target, weight)) = parts.next() {
                sum += self.of_target(outputs, target, weight, gradient);
                correct += self.correct.of_row(outputs, target);
            }
            for (target, weight) in parts.by_ref().take(targets.each() - 1) {
                sum += self.of_target(outputs, target, weight, &mut other);
                gradient.iter_mut().zip(&other).for_each(|(gradient, other)| *gradient += other);
            }
        }
        (sum, correct)
    }

    /// Computes the loss of one row and one target, and its gradient in the batch's mean loss.
    fn of_target(
        self,
        outputs: &[f32],
        target: RowTarget,
        weight: Option<f32>,
        gradient: &mut [f32],
    ) -> f64 {
        let scale = 1.0 / self.samples as f32;
        let value = self.loss.row(outputs, target, gradient);
        let (value, scale) = match weight {
            None => (value, scale),
            Some(weight) => (value * f64::from(weight), scale * weight),
        };
        gradient.iter_mut().for_each(|gradient| *gradient *= scale);
        value
    }
}

/// The rows of one task in one layer.
struct LayerTask<'a> {
    /// The products of all rows, by blocks.
    products: &'a [f32],
    outputs: &'a mut [f32],
    slopes: &'a mut [f32],
    gradients: &'a mut [f32],
    mask: &'a [f32],
    transposed: &'a [f32],
}

impl LayerTask<'_> {
    /// Computes the gradients of the layer's input [rows, inputs] from those of its outputs.
    fn write_input_gradients(
        &self,
        dense: &DenseLayer,
        parameters: &[f32],
        out: &mut [f32],
        rows: usize,
    ) {
        for block @ (start, units) in dense.blocks() {
            let outer = Matrix::new(&self.gradients[start..], rows, units, dense.units);
            // Each task would have to copy the weights into the order of the product otherwise, half as long again as
            // the product itself.
            let is_transposed =
                !self.transposed.is_empty() && is_order_fixed(rows, units, dense.inputs);
            let weights = match is_transposed {
                true => {
                    let own = &self.transposed[start * dense.inputs..];
                    Matrix::new(own, units, dense.inputs, dense.inputs)
                }
                false => dense.block(parameters, block).0.transposed(),
            };
            multiply(out, outer, weights, start > 0);
        }
    }
}

/// Takes rows through a group of layers; `first` is their position in the batch of `samples`.
fn forward(
    mlp: &Mlp,
    group: &Range<usize>,
    parameters: &[f32],
    input: &[f32],
    layers: &mut [LayerTask],
    (first, samples): (usize, usize),
) {
    for i in group.clone() {
        let dense = &mlp.units[i];
        let (before, rest) = layers.split_at_mut(i);
        let x = before.last().map_or(input, |layer| &*layer.outputs);
        let Some((own, after)) = rest.split_first_mut() else { return };
        let rows = own.outputs.len() / dense.units;
        if dense.is_wide() {
            for block @ (start, units) in dense.blocks() {
                let (_, bias) = dense.block(parameters, block);
                let sums = &own.products[start * samples..][first * units..][..rows * units];
                vector_loops::with_bias(own.outputs, dense.units, start, sums, bias);
            }
        } else {
            let (weights, bias) = dense.block(parameters, (0, dense.units));
            let x = Matrix::new(x, rows, dense.inputs, dense.inputs);
            multiply(own.outputs, x, weights, false);
            vector_loops::add_to_rows(own.outputs, bias);
        }
        if i + 1 < mlp.units.len() {
            vector_loops::activate(dense.activation, own.outputs, own.slopes);
        }
        if let (Some((_, rate)), Some(next)) = (dense.dropout, after.first()) {
            vector_loops::drop_out(own.outputs, next.mask, rate);
            vector_loops::drop_out(own.slopes, next.mask, rate);
        }
    }
}

/// Computes the gradients of all layers' outputs from the network's outputs; returns the sum of the losses and the
/// number of correct rows.
fn backward(
    mlp: &Mlp,
    parameters: &[f32],
    layers: &mut [LayerTask],
    targets: TargetRows,
    loss: BatchLoss,
) -> (f64, i64) {
    let Some(last) = layers.last_mut() else { return (0.0, 0) };
    let sums = loss.of_rows(last.outputs, targets, last.gradients, mlp.outputs());
    for (i, dense) in mlp.units.iter().enumerate().skip(1).rev() {
        let (before, rest) = layers.split_at_mut(i);
        let (Some(inner), Some(own)) = (before.last_mut(), rest.first()) else { break };
        own.write_input_gradients(dense, parameters, inner.gradients, targets.len());
        vector_loops::scale_by(inner.gradients, inner.slopes);
    }
    sums
}
