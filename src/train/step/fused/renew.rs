//! From the gradients of the layers' outputs to those of the weights, and to the new weights.

use std::cell::RefCell;
use std::ops::Range;

use super::cut::Part;
use super::kernels::{self, Update};
use super::{Fused, split_off};
use crate::native::products::{Matrix, multiply};
use crate::train::step::Turn;

thread_local! {
    /// The gradient of the part that a thread is about to renew.
    static GRADIENT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

impl Fused<'_> {
    /// From these to the weights' own gradients, and to the new weights.
    pub(super) fn renew(&mut self, samples: usize, turn: Turn) {
        struct Task<'a> {
            part: Part,
            parameters: &'a mut [f32],
            /// Empty where nobody asks for it later.
            gradients: &'a mut [f32],
            moments: [&'a mut [f32]; 2],
            average: &'a mut [f32],
            squares: f64,
        }
        let stack = &self.stack;
        let blank = &self.blank[..];
        let decay = self.ema.as_ref().map_or(0.0, |(decay, _)| *decay);
        let mut average = self.ema.as_mut().map_or(&mut [][..], |(_, average)| &mut average[..]);
        let mut parameters = &mut self.parameters[..];
        let mut gradients = &mut self.gradients[..];
        let [mut first, mut second] = self.moments.each_mut().map(|list| &mut list[..]);
        let mut tasks: Vec<Task> = Vec::with_capacity(self.cut.parts.len());
        for &part in &self.cut.parts {
            let size = part.rows.1 * part.block.1;
            tasks.push(Task {
                part,
                parameters: split_off(&mut parameters, size),
                gradients: split_off(&mut gradients, size),
                moments: [split_off(&mut first, size), split_off(&mut second, size)],
                average: split_off(&mut average, size),
                squares: 0.0,
            });
        }
        tasks.sort_unstable_by_key(|task| task.part.turn);
        let rows = &self.rows;
        // The rows of a part but for the bias.
        let weights_of = |part: &Part| {
            let (row, count) = part.rows;
            let inputs = stack.units[part.layer].inputs;
            count.min(inputs - row.min(inputs))
        };
        let gradient = |part: &Part, out: &mut [f32]| {
            let (unit, (first, units)) = (stack.units[part.layer], part.block);
            let input = match part.layer {
                0 => &rows.input,
                layer => &rows.layers[layer - 1].outputs,
            };
            let outer = &rows.layers[part.layer].gradients[first..samples * unit.units];
            let outer = Matrix::new(outer, samples, units, unit.units);
            let (row, _) = part.rows;
            let weights = weights_of(part);
            let (own, bias) = out.split_at_mut(weights * units);
            // Weights of columns that are not in use have no gradient, and no place here.
            let used = match part.layer {
                0 => rows.columns.places(row..row + weights),
                _ => row..row + weights,
            };
            let (own, rest) = own.split_at_mut(used.len() * units);
            rest.fill(0.0);
            if !used.is_empty() {
                let input = Matrix::new(&input[used.start..], samples, used.len(), unit.inputs);
                multiply(own, input.transposed(), outer, false);
            }
            if !bias.is_empty() {
                outer.sum_rows(bias);
            }
        };
        let update = Update::new(turn.optimizer, turn.number);
        let apply = |task: &mut Task, range: Range<usize>, gradients: &[f32], scale: f32| {
            let [first, second] = task.moments.each_mut().map(|moment| match moment.is_empty() {
                true => &mut [][..],
                false => &mut moment[range.clone()],
            });
            update.apply(&mut task.parameters[range], gradients, first, second, scale);
        };
        let renew = |task: &mut Task, gradients: &[f32], scale: f32| {
            let Part { layer, block: (_, units), rows: (row, _), .. } = task.part;
            let weights = weights_of(&task.part);
            if layer == 0 && !rows.columns.is_all() {
                let (mut next, mut used) = (0, 0);
                for (piece, in_use) in rows.columns.pieces(row..row + weights) {
                    let size = piece.len() * units;
                    let gradients =
                        if in_use { &gradients[used..][..size] } else { &blank[..size] };
                    used += if in_use { size } else { 0 };
                    apply(task, next..next + size, gradients, scale);
                    next += size;
                }
                apply(task, next..gradients.len(), &gradients[next..], scale);
            } else {
                apply(task, 0..gradients.len(), gradients, scale);
            }
            if !task.average.is_empty() {
                kernels::follow(task.average, task.parameters, (1.0 - decay) as f32);
            }
        };
        match self.clip_norm {
            // The gradient is read while it is in the cache, and written nowhere else.
            None => self.team.each(&mut tasks, |task| {
                GRADIENT.with_borrow_mut(|own| {
                    own.resize(task.parameters.len(), 0.0);
                    gradient(&task.part, own);
                    renew(task, own, 1.0);
                });
            }),
            Some(most) => {
                self.team.each(&mut tasks, |task| {
                    gradient(&task.part, task.gradients);
                    task.squares = kernels::squares(task.gradients);
                });
                let norm = tasks.iter().map(|task| task.squares).sum::<f64>().sqrt();
                // PyTorch's guard against a norm of zero.
                let scale = (most / (norm + 1e-6)).min(1.0);
                // NaN passes, and is found.
                let scale = if norm.is_nan() { f32::NAN } else { scale as f32 };
                self.team.each(&mut tasks, |task| {
                    let gradients = std::mem::take(&mut task.gradients);
                    renew(task, gradients, scale);
                });
            }
        }
        if let Some((_, average)) = self.ema.as_mut().filter(|(_, average)| average.is_empty()) {
            average.extend_from_slice(&self.parameters);
        }
    }
}
