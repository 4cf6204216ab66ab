//! The gradients of the weights from those of the layers' outputs, and the weight update.

use std::cell::RefCell;
use std::ops::Range;

use super::dense_stack::Mlp;
use super::lists::split_off;
use super::optimizers::Update;
use super::pictures::Pictures;
use super::vector_loops;
use super::work_plan::{PictureTile, WeightTile, WorkPlan};
use super::{Activations, CpuDense};
use crate::data::batches::ActiveColumns;
use crate::native::aligned_memory::AlignedFloats;
use crate::native::gemm::{Matrix, multiply};
use crate::train::step::engine::StepContext;

thread_local! {
    /// The gradient of the tile that a thread is about to update.
    static GRADIENT: RefCell<AlignedFloats> =
        const { RefCell::new(AlignedFloats::new()) };
}

/// A tile of the weights, and the state that belongs to it.
struct Task<'a> {
    part: Tile,
    parameters: &'a mut [f32],
    /// Empty unless the gradients are read later.
    gradients: &'a mut [f32],
    moments: [&'a mut [f32]; 2],
    average: &'a mut [f32],
    squares: f64,
}

/// A tile of a Dense layer or of one on pictures.
#[derive(Clone, Copy)]
enum Tile {
    Dense(WeightTile),
    Picture(PictureTile),
}

impl Tile {
    /// Returns the position of its task among all: sums of gradients that are there come first.
    fn order(&self) -> usize {
        match self {
            Self::Dense(part) => part.order + 1,
            Self::Picture(_) => 0,
        }
    }
}

/// The data that the gradients of weights are computed from.
#[derive(Clone, Copy)]
struct Source<'a> {
    mlp: &'a Mlp,
    rows: &'a Activations,
    pictures: Option<&'a Pictures>,
    samples: usize,
}

impl Source<'_> {
    /// Computes the gradient of a tile.
    fn gradient(&self, part: &Tile, out: &mut [f32]) {
        match (part, self.pictures) {
            (Tile::Dense(part), _) => gradient(self.mlp, self.rows, self.samples, part, out),
            (Tile::Picture(part), Some(pictures)) => pictures.gradient(part, self.samples, out),
            (Tile::Picture(_), None) => {}
        }
    }
}

/// Returns the number of rows of a tile except for the bias.
fn weights_of(mlp: &Mlp, part: &WeightTile) -> usize {
    let (row, count) = part.rows;
    let inputs = mlp.units[part.layer].inputs;
    count.min(inputs - row.min(inputs))
}

/// Computes the gradient of a tile from `samples` rows of the batch. Those of weights whose columns are
/// not active are left out, and zeros follow the others.
fn gradient(mlp: &Mlp, rows: &Activations, samples: usize, part: &WeightTile, out: &mut [f32]) {
    let (dense, (first, units)) = (mlp.units[part.layer], part.block);
    let input = match part.layer {
        0 => &rows.input,
        layer => &rows.layers[layer - 1].outputs,
    };
    let outer = &rows.layers[part.layer].gradients[first..samples * dense.units];
    let outer = Matrix::new(outer, samples, units, dense.units);
    let (row, _) = part.rows;
    let weights = weights_of(mlp, part);
    let (own, bias) = out.split_at_mut(weights * units);
    // Weights of inactive columns have no gradient, and no place here.
    let used = match part.layer {
        0 => rows.columns.places(row..row + weights),
        _ => row..row + weights,
    };
    let (own, rest) = own.split_at_mut(used.len() * units);
    rest.fill(0.0);
    if !used.is_empty() {
        let input = Matrix::new(&input[used.start..], samples, used.len(), dense.inputs);
        multiply(own, input.transposed(), outer, false);
    }
    if !bias.is_empty() {
        outer.sum_rows(bias);
    }
}

/// The weight update of a step.
struct WeightUpdate<'a> {
    stack: &'a Mlp,
    update: Update,
    /// The decay of the moving average.
    decay: f64,
    /// The columns whose weights have gradients; none if all have, each in its place.
    columns: Option<&'a ActiveColumns>,
    blank: &'a [f32],
}

impl WeightUpdate<'_> {
    fn apply_gradients(&self, task: &mut Task, gradients: &[f32], scale: f32) {
        match (task.part, self.columns.filter(|columns| !columns.is_all())) {
            (Tile::Dense(part @ WeightTile { layer: 0, .. }), Some(columns)) => {
                let (row, units) = (part.rows.0, part.block.1);
                let weights = weights_of(self.stack, &part);
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
            _ => self.apply(task, 0..gradients.len(), gradients, scale),
        }
        if !task.average.is_empty() {
            vector_loops::follow(task.average, task.parameters, (1.0 - self.decay) as f32);
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

/// Returns the tasks of a step, in their order. Empty lists yield empty parts for all tasks.
fn tasks<'a>(
    plan: &WorkPlan,
    mut parameters: &'a mut [f32],
    mut gradients: &'a mut [f32],
    [mut first, mut second]: [&'a mut [f32]; 2],
    mut average: &'a mut [f32],
) -> Vec<Task<'a>> {
    let pictures = plan.picture_parts.iter().map(|&part| (Tile::Picture(part), part.values));
    let dense = plan.parts.iter().map(|&part| (Tile::Dense(part), part.rows.1 * part.block.1));
    let mut tasks: Vec<Task> = Vec::with_capacity(plan.picture_parts.len() + plan.parts.len());
    for (part, size) in pictures.chain(dense) {
        tasks.push(Task {
            part,
            parameters: split_off(&mut parameters, size),
            gradients: split_off(&mut gradients, size),
            moments: [split_off(&mut first, size), split_off(&mut second, size)],
            average: split_off(&mut average, size),
            squares: 0.0,
        });
    }
    // Stable: tiles of pictures stay in their order.
    tasks.sort_by_key(|task| task.part.order());
    tasks
}

/// Returns the factor for gradients with this sum of squares, so that their norm is at most `most`.
fn clipped(most: f64, squares: f64) -> f32 {
    let norm = squares.sqrt();
    // PyTorch's guard against a norm of zero.
    let scale = (most / (norm + 1e-6)).min(1.0);
    // NaN is passed on, and detected later.
    if norm.is_nan() { f32::NAN } else { scale as f32 }
}

impl CpuDense<'_> {
    /// Computes the weights' gradients from those of the layers' outputs, and applies them.
    pub(super) fn apply_gradients(&mut self, samples: usize, context: StepContext) {
        let (mlp, rows) = (&self.stack, &self.rows);
        let source = Source { mlp, rows, pictures: self.pictures.as_ref(), samples };
        let weight_update = WeightUpdate {
            stack: mlp,
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
            // The gradient is read while it is in the cache, and stored nowhere else.
            None => self.team.each(&mut tasks, |task| {
                GRADIENT.with_borrow_mut(|own| {
                    own.resize(task.parameters.len());
                    source.gradient(&task.part, own);
                    weight_update.apply_gradients(task, own, 1.0);
                });
            }),
            Some(most) => {
                self.team.each(&mut tasks, |task| {
                    source.gradient(&task.part, task.gradients);
                    task.squares = vector_loops::squares(task.gradients);
                });
                let scale = clipped(most, tasks.iter().map(|task| task.squares).sum());
                self.team.each(&mut tasks, |task| {
                    let gradients = std::mem::take(&mut task.gradients);
                    weight_update.apply_gradients(task, gradients, scale);
                });
            }
        }
        self.start_ema();
    }

    /// Writes only the weights' gradients, each in the place of its weight.
    pub(super) fn write_gradients(&mut self, samples: usize, gradients: &mut [f32]) {
        let (mlp, rows) = (&self.stack, &self.rows);
        let source = Source { mlp, rows, pictures: self.pictures.as_ref(), samples };
        let mut tasks = tasks(&self.cut, &mut [], gradients, [&mut [], &mut []], &mut []);
        self.team.each(&mut tasks, |task| {
            let part = match &task.part {
                Tile::Dense(part) if part.layer == 0 && !rows.columns.is_all() => part,
                part => return source.gradient(part, task.gradients),
            };
            let (row, units) = (part.rows.0, part.block.1);
            let weights = weights_of(mlp, part);
            GRADIENT.with_borrow_mut(|own| {
                own.resize(task.gradients.len());
                gradient(mlp, rows, samples, part, own);
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

    /// Applies gradients that were reduced over all ranks.
    pub(super) fn apply_reduced_gradients(&mut self, gradients: &mut [f32], context: StepContext) {
        let weight_update = WeightUpdate {
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
            self.team.each(&mut tasks, |task| task.squares = vector_loops::squares(task.gradients));
            clipped(most, tasks.iter().map(|task| task.squares).sum())
        });
        self.team.each(&mut tasks, |task| {
            let gradients = std::mem::take(&mut task.gradients);
            weight_update.apply_gradients(task, gradients, scale);
        });
        self.start_ema();
    }

    /// Starts the moving average with the weights of the first step.
    fn start_ema(&mut self) {
        if let Some((_, average)) = self.ema.as_mut().filter(|(_, average)| average.is_empty()) {
            average.set(&self.parameters);
        }
    }
}
