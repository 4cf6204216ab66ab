//! How a step is cut into tasks for the team of threads: by the sizes alone, so that the number of threads
//! changes no bit of the result.

use std::ops::Range;

use super::mlp::Mlp;

/// Weights of a task that renews them: some 10 microseconds.
const WEIGHTS_OF_A_TASK: usize = 12 << 10;
/// Multiplications and additions that are worth a thread of their own: some 10 microseconds.
const WORK_OF_A_THREAD: usize = 1 << 20;

/// How a step is cut into tasks: by the sizes alone.
#[derive(Clone, Debug)]
pub struct WorkPlan {
    /// Samples of a task that takes rows.
    pub samples: usize,
    /// The layers in groups: a wide one begins one, the narrow ones behind it belong to it.
    pub groups: Vec<Range<usize>>,
    /// The parts of the weights that are renewed, one behind the other.
    pub parts: Vec<WeightTile>,
}

/// Some rows of a block's weights; the bias counts as the last row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightTile {
    pub layer: usize,
    /// First unit of the block, and units.
    pub block: (usize, usize),
    /// First row, and rows.
    pub rows: (usize, usize),
    /// The number of its task.
    pub context: usize,
}

impl WorkPlan {
    pub fn new(stack: &Mlp, batch: usize) -> Self {
        // Eight tasks or so balance well; fewer than 16 samples at once cost speed, and more than 128
        // do not gain any.
        let samples = batch.div_ceil(8).next_multiple_of(8).clamp(16, 128);
        let mut groups: Vec<Range<usize>> = Vec::new();
        for (layer, unit) in stack.units.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if !unit.is_wide() => group.end = layer + 1,
                _ => groups.push(layer..layer + 1),
            }
        }
        // Who has taken a block's products takes its weights: the owner of the team from the front, the
        // others from the back. What is small lies between.
        let mut parts: Vec<WeightTile> = Vec::new();
        for (layer, unit) in stack.units.iter().enumerate() {
            for block in unit.blocks() {
                let context = match () {
                    () if !unit.is_wide() => 1,
                    () if block.0 < unit.units / 2 => 0,
                    () => 2,
                };
                let all = unit.inputs + 1;
                let size = WEIGHTS_OF_A_TASK.div_ceil(block.1).next_multiple_of(8);
                let tasks = (all / size).max(1);
                let size = (all / tasks).next_multiple_of(8);
                // Rounded up, fewer may do.
                let tasks = all.div_ceil(size).min(tasks);
                for task in 0..tasks {
                    let first = task * size;
                    let rows = if task + 1 == tasks { all - first } else { size };
                    parts.push(WeightTile { layer, block, rows: (first, rows), context });
                }
            }
        }
        let mut order: Vec<&mut WeightTile> = parts.iter_mut().collect();
        // Blocks that read the same columns of the input one behind the other.
        order.sort_by_key(|part| (part.context, part.layer, part.rows.0));
        order.into_iter().enumerate().for_each(|(context, part)| part.context = context);
        Self { samples, groups, parts }
    }
}

/// The threads of which a step of so many samples gains something: as many as there is work for, and
/// no more than there are tasks at a time.
pub fn useful_threads(stack: &Mlp, cut: &WorkPlan, batch: usize) -> usize {
    let work = stack.work().saturating_mul(batch) / WORK_OF_A_THREAD;
    work.min(cut.parts.len().max(batch.div_ceil(cut.samples))).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::mlp::DenseLayer;
    use super::*;
    use crate::model::Activation;

    /// Whatever the sizes, each weight belongs to one task, and each task has some.
    #[test]
    fn the_parts_tile_the_weights() {
        let widths = (1..600).chain([784, 4096, 21_944, 25_088, 50_176, 65_536, 150_528, 219_473]);
        for (inputs, units) in widths.flat_map(|inputs| [1, 10, 33, 64, 300].map(|u| (inputs, u))) {
            let first =
                DenseLayer { inputs, units, activation: Activation::Relu, dropout: None, start: 0 };
            let second = DenseLayer { inputs: units, units: 2, start: first.len(), ..first };
            let stack = Mlp { inputs, dropout: None, units: vec![first, second] };
            let cut = WorkPlan::new(&stack, 32);
            let mut next = 0;
            for part in &cut.parts {
                let unit = stack.units[part.layer];
                let start = unit.block_start(part.block.0) + part.rows.0 * part.block.1;
                assert_eq!(start, next, "{inputs} x {units}: {part:?}");
                assert!(part.rows.1 > 0, "{inputs} x {units}: {part:?}");
                next = start + part.rows.1 * part.block.1;
            }
            assert_eq!(next, stack.len());
            let mut contexts: Vec<usize> = cut.parts.iter().map(|part| part.context).collect();
            contexts.sort_unstable();
            assert!(contexts.into_iter().eq(0..cut.parts.len()));
        }
    }

    #[test]
    fn threads_are_no_more_than_there_is_to_do() {
        let unit = |inputs, units, start| DenseLayer {
            inputs,
            units,
            activation: Activation::Relu,
            dropout: None,
            start,
        };
        let stack =
            |inputs, units| Mlp { inputs, dropout: None, units: vec![unit(inputs, units, 0)] };
        let threads =
            |stack: &Mlp, batch| useful_threads(stack, &WorkPlan::new(stack, batch), batch);
        assert_eq!(threads(&stack(64, 16), 32), 1);
        assert!((2..=16).contains(&threads(&stack(784, 128), 32)));
        assert!(threads(&stack(784, 128), 4096) <= 32);
    }
}
