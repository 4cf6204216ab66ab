//! From the gradients of the layers' outputs to those of the weights, and to the new weights.

use std::cell::RefCell;
use std::ops::Range;

use super::kernels::{self, Update};
use super::mlp::Mlp;
use super::work_plan::{WeightTile, WorkPlan};
use super::{Activations, CpuDense, split_off};
use crate::data::batches::ActiveColumns;
use crate::native::gemm::{Matrix, multiply};
use crate::train::step::StepContext;

thread_local! {
    /// The gradient of the part that a thread is about to renew.
    static GRADIENT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A part of the weights, and what belongs to it.
struct Task<'a> {
    part: WeightTile,
    parameters: &'a mut [f32],
    /// Empty where nobody asks for it later.
    gradients: &'a mut [f32],
    moments: [&'a mut [f32]; 2],
    average: &'a mut [f32],
    squares: f64,
}

/// The rows of a part but for the bias.
fn weights_of(stack: &Mlp, part: &WeightTile) -> usize {
    let (row, count) = part.rows;
    let inputs = stack.units[part.layer].inputs;
    count.min(inputs - row.min(inputs))
}

/// The gradient of a part, from so many rows of the batch. Those of weights whose columns are not in use are
/// left out, and zeros stand behind the others.
fn gradient(stack: &Mlp, rows: &Activations, samples: usize, part: &WeightTile, out: &mut [f32]) {
    let (unit, (first, units)) = (stack.units[part.layer], part.block);
    let input = match part.layer {
        0 => &rows.input,
        layer => &rows.layers[layer - 1].outputs,
    };
    let outer = &rows.layers[part.layer].gradients[first..samples * unit.units];
    let outer = Matrix::new(outer, samples, units, unit.units);
    let (row, _) = part.rows;
    let weights = weights_of(stack, part);
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
}

/// How gradients become new weights.
struct WeightUpdate<'a> {
    stack: &'a Mlp,
    update: Update,
    /// The decay of the average.
    decay: f64,
    /// The columns whose weights have gradients; none if all have, in their places.
    columns: Option<&'a ActiveColumns>,
    blank: &'a [f32],
}

impl WeightUpdate<'_> {
    fn apply_gradients(&self, task: &mut Task, gradients: &[f32], scale: f32) {
        let WeightTile { layer, block: (_, units), rows: (row, _), .. } = task.part;
        let weights = weights_of(self.stack, &task.part);
        match self.columns.filter(|columns| layer == 0 && !columns.is_all()) {
            Some(columns) => {
                let (mut next, mut used) = (0, 0);
                for (piece, in_use) in columns.pieces(row..row + weights) {
                    let size = piece.len() * units;
                    let gradients =
                        if in_use { &gradients[used..][..size] } else { &self.blank[..size] };
                    used += if in_use { size } else { 0 };
                    self.apply(task, next..next + size, gradients, scale);
                    next += size;
                }
                self.apply(task, next..gradients.len(), &gradients[next..], scale);
            }
            None => self.apply(task, 0..gradients.len(), gradients, scale),
        }
        if !task.average.is_empty() {
            kernels::follow(task.average, task.parameters, (1.0 - self.decay) as f32);
        }
    }

    fn apply(&self, task: &mut Task, range: Range<usize>, gradients: &[f32], scale: f32) {
        let [first, second] = task.moments.each_mut().map(|moment| match moment.is_empty() {
            true => &mut [][..],
            false => &mut moment[range.clone()],
        });
        self.update.apply(&mut task.parameters[range], gradients, first, second, scale);
    }
}

/// The tasks of a step, in their order. Lists that are empty have no part for any of them.
fn tasks<'a>(
    cut: &WorkPlan,
    mut parameters: &'a mut [f32],
    mut gradients: &'a mut [f32],
    [mut first, mut second]: [&'a mut [f32]; 2],
    mut average: &'a mut [f32],
) -> Vec<Task<'a>> {
    let mut tasks: Vec<Task> = Vec::with_capacity(cut.parts.len());
    for &part in &cut.parts {
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
    tasks.sort_unstable_by_key(|task| task.part.context);
    tasks
}

/// What gradients whose squares sum up to this are multiplied with, so that their norm is at most `most`.
fn clipped(most: f64, squares: f64) -> f32 {
    let norm = squares.sqrt();
    // PyTorch's guard against a norm of zero.
    let scale = (most / (norm + 1e-6)).min(1.0);
    // NaN passes, and is found.
    if norm.is_nan() { f32::NAN } else { scale as f32 }
}

impl CpuDense<'_> {
    /// From these to the weights' own gradients, and to the new weights.
    pub(super) fn apply_gradients(&mut self, samples: usize, context: StepContext) {
        let (stack, rows) = (&self.stack, &self.rows);
        let renewal = WeightUpdate {
            stack,
            update: Update::new(context.optimizer, context.number),
            decay: self.ema.as_ref().map_or(0.0, |(decay, _)| *decay),
            columns: Some(&rows.columns),
            blank: &self.blank,
        };
        let mut tasks = tasks(
            &self.cut,
            &mut self.parameters,
            &mut self.gradients,
            self.moments.each_mut().map(|list| &mut list[..]),
            self.ema.as_mut().map_or(&mut [][..], |(_, average)| &mut average[..]),
        );
        match self.clip_norm {
            // The gradient is read while it is in the cache, and written nowhere else.
            None => self.team.each(&mut tasks, |task| {
                GRADIENT.with_borrow_mut(|own| {
                    own.resize(task.parameters.len(), 0.0);
                    gradient(stack, rows, samples, &task.part, own);
                    renewal.apply_gradients(task, own, 1.0);
                });
            }),
            Some(most) => {
                self.team.each(&mut tasks, |task| {
                    gradient(stack, rows, samples, &task.part, task.gradients);
                    task.squares = kernels::squares(task.gradients);
                });
                let scale = clipped(most, tasks.iter().map(|task| task.squares).sum());
                self.team.each(&mut tasks, |task| {
                    let gradients = std::mem::take(&mut task.gradients);
                    renewal.apply_gradients(task, gradients, scale);
                });
            }
        }
        self.start_ema();
    }

    /// The weights' gradients alone, each in the place of its weight.
    pub(super) fn write_gradients(&mut self, samples: usize, gradients: &mut [f32]) {
        let (stack, rows) = (&self.stack, &self.rows);
        let mut tasks = tasks(&self.cut, &mut [], gradients, [&mut [], &mut []], &mut []);
        self.team.each(&mut tasks, |task| {
            let part = &task.part;
            if part.layer > 0 || rows.columns.is_all() {
                gradient(stack, rows, samples, part, task.gradients);
                return;
            }
            let (row, units) = (part.rows.0, part.block.1);
            let weights = weights_of(stack, part);
            GRADIENT.with_borrow_mut(|own| {
                own.resize(task.gradients.len(), 0.0);
                gradient(stack, rows, samples, part, own);
                let (places, bias) = task.gradients.split_at_mut(weights * units);
                bias.copy_from_slice(&own[weights * units..]);
                let (mut places, mut used) = (places, 0);
                for (piece, in_use) in rows.columns.pieces(row..row + weights) {
                    let place = split_off(&mut places, piece.len() * units);
                    match in_use {
                        true => {
                            place.copy_from_slice(&own[used..][..place.len()]);
                            used += place.len();
                        }
                        false => place.fill(0.0),
                    }
                }
            });
        });
    }

    /// From gradients that came from elsewhere to the new weights.
    pub(super) fn apply_reduced_gradients(&mut self, gradients: &mut [f32], context: StepContext) {
        let renewal = WeightUpdate {
            stack: &self.stack,
            update: Update::new(context.optimizer, context.number),
            decay: self.ema.as_ref().map_or(0.0, |(decay, _)| *decay),
            columns: None,
            blank: &[],
        };
        let mut tasks = tasks(
            &self.cut,
            &mut self.parameters,
            gradients,
            self.moments.each_mut().map(|list| &mut list[..]),
            self.ema.as_mut().map_or(&mut [][..], |(_, average)| &mut average[..]),
        );
        let scale = self.clip_norm.map_or(1.0, |most| {
            self.team.each(&mut tasks, |task| task.squares = kernels::squares(task.gradients));
            clipped(most, tasks.iter().map(|task| task.squares).sum())
        });
        self.team.each(&mut tasks, |task| {
            let gradients = std::mem::take(&mut task.gradients);
            renewal.apply_gradients(task, gradients, scale);
        });
        self.start_ema();
    }

    /// The average begins with the weights of the first step.
    fn start_ema(&mut self) {
        if let Some((_, average)) = self.ema.as_mut().filter(|(_, average)| average.is_empty()) {
            average.extend_from_slice(&self.parameters);
        }
    }
}
