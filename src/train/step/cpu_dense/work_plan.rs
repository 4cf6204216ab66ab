//! The plan that splits a step into tasks for the team of threads: by the sizes alone, so that the number
//! of threads changes no bit of the result.

use std::ops::{Range, RangeInclusive};

use super::dense_stack::Mlp;
use super::pictures::PictureStack;

/// Weights of a task that updates them, at most and at least.
const WEIGHTS_OF_A_TASK: RangeInclusive<usize> = 2 << 10..=12 << 10;
/// The products of such a task, one for each weight and sample: some 20 microseconds. At batch 200 with 108 inputs and
/// 100 units, all weights in one task left one of two threads idle for half of the step.
const PRODUCTS_OF_A_TASK: usize = 768 << 10;
/// Multiplications and additions that are worth a separate thread: some 10 microseconds.
const WORK_OF_A_THREAD: usize = 1 << 20;

/// The plan that splits a step into tasks: by the sizes alone.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// Samples of a task that processes rows.
    pub samples: usize,
    /// The layers in groups: a wide layer begins a group, and the narrow ones after it belong to it.
    pub groups: Vec<Range<usize>>,
    /// The tiles of the weights of layers on pictures that are updated, one after the other.
    pub picture_parts: Vec<PictureTile>,
    /// The tiles of the other weights, after them.
    pub parts: Vec<WeightTile>,
}

/// Some rows of a parameter of a layer on pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureTile {
    pub layer: usize,
    /// The number of the layer's parameter.
    pub parameter: usize,
    /// The place of the first row's gradient.
    pub gradient: usize,
    pub rows: usize,
    /// The number of values of the rows.
    pub values: usize,
}

/// Some rows of a block's weights; the bias counts as the last row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightTile {
    pub layer: usize,
    /// First unit of the block, and number of units.
    pub block: (usize, usize),
    /// First row, and number of rows.
    pub rows: (usize, usize),
    /// The position of the tile's task among all.
    pub order: usize,
}

impl WorkPlan {
    pub fn new(pictures: Option<&PictureStack>, mlp: &Mlp, batch: usize) -> Self {
        // About eight tasks balance well; fewer than 16 samples per task cost speed, and more than 128 do
        // not gain any.
        let samples = batch.div_ceil(8).next_multiple_of(8).clamp(16, 128);
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (layer, dense) in mlp.units.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if !dense.is_wide() => group.end = layer + 1,
                _ => groups.push(layer..layer + 1),
            }
        }
        // The thread that computed a block's products also updates its weights: the owner of the team
        // from the front, the others from the back. Small layers are in between.
        let (least, most) = WEIGHTS_OF_A_TASK.into_inner();
        let of_a_task = (PRODUCTS_OF_A_TASK / batch.max(1)).clamp(least, most);
        let mut parts: Vec<WeightTile> = Vec::new();
        for (layer, dense) in mlp.units.iter().enumerate() {
            for block in dense.blocks() {
                let phase = match () {
                    () if !dense.is_wide() => 1,
                    () if block.0 < dense.units / 2 => 0,
                    () => 2,
                };
                let all = dense.inputs + 1;
                let size = of_a_task.div_ceil(block.1).next_multiple_of(8);
                // Half a task more than whole ones is split, too: at batch 200 with 64 inputs and 100 units, one of two
                // threads had all of the work. The smallest tasks are not:
                // of batches above 512, their sizes change the order of sums in `gemm`.
                let half = if of_a_task > least { size / 2 } else { 0 };
                let tasks = ((all + half) / size).max(1);
                let size = (all / tasks).next_multiple_of(8);
                // After rounding up, fewer tasks may suffice.
                let tasks = all.div_ceil(size).min(tasks);
                for task in 0..tasks {
                    let first = task * size;
                    let rows = if task + 1 == tasks { all - first } else { size };
                    parts.push(WeightTile { layer, block, rows: (first, rows), order: phase });
                }
            }
        }
        let mut order: Vec<&mut WeightTile> = parts.iter_mut().collect();
        // Blocks that read the same columns of the input come one after the other.
        order.sort_by_key(|part| (part.order, part.layer, part.rows.0));
        order.into_iter().enumerate().for_each(|(position, part)| part.order = position);
        let picture_parts = pictures.map(picture_tiles).unwrap_or_default();
        Self { samples, groups, picture_parts, parts }
    }
}

/// Returns the tiles of the parameters of layers on pictures.
fn picture_tiles(stack: &PictureStack) -> Vec<PictureTile> {
    let mut tiles = Vec::new();
    for (layer, placed) in stack.layers.iter().enumerate() {
        let mut gradient = placed.gradients.start;
        for (number, parameter) in placed.parameters.iter().enumerate() {
            let at_once = WEIGHTS_OF_A_TASK.end().div_ceil(parameter.places.len().max(1));
            for first in (0..parameter.rows).step_by(at_once) {
                let rows = at_once.min(parameter.rows - first);
                tiles.push(PictureTile {
                    layer,
                    parameter: number,
                    gradient: gradient + first * parameter.stride,
                    rows,
                    values: rows * parameter.places.len(),
                });
            }
            gradient += parameter.written;
        }
    }
    tiles
}

/// Returns the number of threads that speed up a step of `batch` samples: as much as there is work for,
/// and no more than there are tasks at a time.
pub fn useful_threads(mlp: &Mlp, plan: &WorkPlan, batch: usize) -> usize {
    let work = mlp.work().saturating_mul(batch) / WORK_OF_A_THREAD;
    work.min(plan.parts.len().max(batch.div_ceil(plan.samples))).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::dense_stack::{Curve, DenseLayer};
    use super::*;

    /// For all sizes, each weight belongs to one task, and each task has some.
    #[test]
    fn the_parts_tile_the_weights() {
        let widths = (1..600).chain([784, 4096, 21_944, 25_088, 50_176, 65_536, 150_528, 219_473]);
        for (inputs, units) in widths.flat_map(|inputs| [1, 10, 33, 64, 300].map(|u| (inputs, u))) {
            let first =
                DenseLayer { inputs, units, activation: Curve::Relu, dropout: None, start: 0 };
            let second = DenseLayer { inputs: units, units: 2, start: first.len(), ..first };
            let mlp = Mlp { units: vec![first, second], ..Mlp::new(inputs, 0) };
            let plan = WorkPlan::new(None, &mlp, 32);
            let mut next = 0;
            for part in &plan.parts {
                let dense = mlp.units[part.layer];
                let start = dense.block_start(part.block.0) + part.rows.0 * part.block.1;
                assert_eq!(start, next, "{inputs} x {units}: {part:?}");
                assert!(part.rows.1 > 0, "{inputs} x {units}: {part:?}");
                next = start + part.rows.1 * part.block.1;
            }
            assert_eq!(next, mlp.len());
            let mut orders: Vec<usize> = plan.parts.iter().map(|part| part.order).collect();
            orders.sort_unstable();
            assert!(orders.into_iter().eq(0..plan.parts.len()));
        }
    }

    #[test]
    fn threads_do_not_exceed_the_work() {
        let dense = |inputs, units, start| DenseLayer {
            inputs,
            units,
            activation: Curve::Relu,
            dropout: None,
            start,
        };
        let mlp =
            |inputs, units| Mlp { units: vec![dense(inputs, units, 0)], ..Mlp::new(inputs, 0) };
        let threads =
            |mlp: &Mlp, batch| useful_threads(mlp, &WorkPlan::new(None, mlp, batch), batch);
        assert_eq!(threads(&mlp(64, 16), 32), 1);
        assert!((2..=16).contains(&threads(&mlp(784, 128), 32)));
        assert!(threads(&mlp(784, 128), 4096) <= 64);
    }
}
