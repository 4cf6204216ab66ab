//! The order of the samples in an epoch that is read from files: shuffled by blocks.
//!
//! The samples are cut into blocks of consecutive ones, which are one read each. The blocks come in a
//! shuffled order, and a fixed number of them, the lanes, is open at any time: each sample is drawn from
//! a randomly chosen lane, in a shuffled order within its block. A lane whose block is used
//! up opens the next. When no block is left, the remaining samples of all lanes are shuffled as a whole, so where
//! all blocks are open at once the order is a full shuffle.
//!
//! Nothing is read here, so that skipping to the middle of an epoch needs no reading either.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::rng::{self, Purpose};

/// A block should be no larger, so that there are many, ...
const LARGEST: usize = 1 << 20;
/// ... and no smaller, so that reading one is worth the disk access.
const SMALLEST: usize = 64 << 10;
/// The number of lanes that there should be room for.
const LANES: usize = 256;

/// The number of samples per block, and the number of open blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub samples: usize,
    /// Samples of a block; the last may have fewer.
    pub block: usize,
    pub lanes: usize,
}

impl Layout {
    /// Chooses the layout for images of `image` bytes, and `memory` bytes for the open blocks.
    pub fn new(samples: usize, image: usize, memory: usize) -> Self {
        let bytes = (memory / LANES).clamp(SMALLEST, LARGEST);
        // The position of each sample of an open block is stored, too.
        let sample = image.saturating_add(size_of::<u32>());
        let block = (bytes / sample).clamp(1, samples.max(1));
        let lanes = (memory / sample / block).clamp(1, samples.div_ceil(block).max(1));
        Self { samples, block, lanes }
    }

    /// Returns the number of blocks.
    pub fn blocks(self) -> usize {
        self.samples.div_ceil(self.block)
    }

    /// Returns the samples of a block.
    pub fn range(self, block: usize) -> std::ops::Range<usize> {
        let start = block * self.block;
        start..self.samples.min(start + self.block)
    }
}

/// The position of the next sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub lane: usize,
    /// The block that is open in this lane.
    pub block: usize,
    /// Index of the sample in the block.
    pub offset: usize,
}

/// The positions of an epoch's samples, each once.
pub(super) struct Order {
    layout: Layout,
    /// Blocks that are not open yet, the next one last.
    closed: Vec<u32>,
    lanes: Vec<Lane>,
    /// The samples that remain when no block is left, the next one last.
    rest: Vec<(u32, u32)>,
    rng: Pcg64Mcg,
}

#[derive(Clone, Debug, Default)]
struct Lane {
    block: u32,
    /// The remaining samples of the block, the next one last.
    left: Vec<u32>,
}

impl Order {
    /// Returns the order of an epoch, drawn from the stream of (seed, epoch).
    pub fn new(layout: Layout, seed: u64, epoch: usize) -> Self {
        let mut rng = rng::stream(seed, Purpose::Shuffle, &[epoch as u64]);
        // The number of samples of a data set fits into a u32.
        let mut closed: Vec<u32> = (0..layout.blocks() as u32).collect();
        closed.shuffle(&mut rng);
        let lanes = vec![Lane::default(); layout.lanes];
        let mut own = Self { layout, closed, lanes, rest: Vec::new(), rng };
        (0..layout.lanes).for_each(|lane| own.open(lane));
        own.finish();
        own
    }

    /// Opens the next block in a lane that is used up.
    fn open(&mut self, lane: usize) {
        let (Some(lane), Some(block)) = (self.lanes.get_mut(lane), self.closed.pop()) else {
            return;
        };
        lane.block = block;
        lane.left.extend(0..self.layout.range(block as usize).len() as u32);
        lane.left.shuffle(&mut self.rng);
    }

    /// Shuffles the remaining samples, once all blocks have been opened.
    fn finish(&mut self) {
        if self.closed.is_empty() {
            for (number, lane) in (0..).zip(&mut self.lanes) {
                self.rest.extend(lane.left.drain(..).map(|offset| (number, offset)));
            }
            self.rest.shuffle(&mut self.rng);
        }
    }
}

impl Iterator for Order {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        if self.closed.is_empty() {
            let (lane, offset) = self.rest.pop()?;
            let (lane, offset) = (lane as usize, offset as usize);
            return Some(Place { lane, block: self.lanes[lane].block as usize, offset });
        }
        // While blocks are left no lane is empty.
        let lane = self.rng.random_range(0..self.lanes.len());
        let Lane { block, left } = &mut self.lanes[lane];
        let (block, offset) = (*block as usize, left.pop()? as usize);
        if left.is_empty() {
            self.open(lane);
            self.finish();
        }
        Some(Place { lane, block, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(layout: Layout, seed: u64, epoch: usize) -> Vec<usize> {
        let order = Order::new(layout, seed, epoch);
        order.map(|place| layout.range(place.block).start + place.offset).collect()
    }

    proptest! {
        #[test]
        fn every_sample_comes_once_and_few_blocks_are_open(
            samples in 1usize..3000, block in 1usize..100, lanes in 1usize..20, seed: u64
        ) {
            let block = block.min(samples);
            let layout = Layout { samples, block, lanes: lanes.min(samples.div_ceil(block)) };
            let mut open = vec![None; layout.lanes];
            let mut left = vec![0; layout.blocks()];
            let mut all = Vec::new();
            for Place { lane, block, offset } in Order::new(layout, seed, 1) {
                if open[lane] != Some(block) {
                    // Only a block that is used up makes room for another.
                    prop_assert!(open[lane].is_none_or(|before: usize| left[before] == 0));
                    open[lane] = Some(block);
                    left[block] = layout.range(block).len();
                }
                left[block] -= 1;
                all.push(layout.range(block).start + offset);
            }
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..samples));
        }

        #[test]
        fn the_memory_limit_holds_if_an_image_fits(
            samples in 1usize..100_000_000, image in 1usize..200_000, memory in 1usize..(1 << 32)
        ) {
            let layout = Layout::new(samples, image, memory);
            prop_assert!(layout.block >= 1 && layout.lanes >= 1 && layout.lanes <= layout.blocks());
            let taken = layout.lanes * layout.block * (image + 4);
            prop_assert!(taken <= memory.max(SMALLEST).max(image + 4), "{layout:?}");
        }
    }

    #[test]
    fn the_order_depends_on_seed_and_epoch() {
        let layout = Layout { samples: 1000, block: 30, lanes: 4 };
        assert_eq!(samples(layout, 1, 1), samples(layout, 1, 1));
        assert!(samples(layout, 1, 1) != samples(layout, 1, 2));
        assert!(samples(layout, 1, 1) != samples(layout, 2, 1));
    }

    #[test]
    fn the_order_is_a_full_shuffle_if_all_blocks_fit() {
        let layout = Layout::new(100, 784, 64 << 20);
        assert_eq!((layout.block, layout.lanes), (100, 1));
        let layout = Layout { samples: 10_000, block: 100, lanes: 100 };
        // The distance of a sample from its position is a third of the whole on average, as in any shuffle.
        let order = samples(layout, 0, 1);
        let far: usize = order.iter().enumerate().map(|(i, &sample)| i.abs_diff(sample)).sum();
        assert!((far as f64 / 1e8 - 1.0 / 3.0).abs() < 0.02, "{far}");
    }

    #[test]
    fn batch_mates_come_from_many_places() {
        let layout = Layout { samples: 100_000, block: 100, lanes: 64 };
        let order: Vec<Place> = Order::new(layout, 0, 1).collect();
        for batch in order.chunks_exact(32) {
            let mut blocks: Vec<usize> = batch.iter().map(|place| place.block).collect();
            blocks.sort_unstable();
            blocks.dedup();
            // 32 draws out of 64 give 25.3 different ones on average.
            assert!(blocks.len() >= 15, "{}", blocks.len());
        }
    }
}
