//! An epoch of a data set in files, batch by batch.

use std::collections::VecDeque;
use std::ops::Range;

use super::block_shuffle::{Layout, Order, Place};
use crate::data::dataset::Dataset;
use crate::data::error::{DataError, DatasetProblem};
use crate::group::rank_shard::RankShard;

/// The epoch and the batches to read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Epoch {
    /// The seed of the training run.
    pub seed: u64,
    /// The number of the epoch, from 1.
    pub number: usize,
    /// Samples of a batch, over all ranks.
    pub batch: usize,
    /// Batches that are already done.
    pub done: usize,
    /// The shard to read of each batch.
    pub share: RankShard,
}

/// A block of samples that were read: pixels one after the other, labels and numbers.
#[derive(Debug, Default)]
pub(crate) struct SampleBlock {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    /// Their numbers in the data set.
    samples: Vec<u32>,
    /// The shape of the images.
    shape: Vec<usize>,
}

impl SampleBlock {
    /// Returns an empty block with room for `samples` samples.
    fn with_room(dataset: &Dataset, samples: usize) -> Result<Self, DataError> {
        let pixels = room(samples.saturating_mul(dataset.sample_len()))?;
        let (labels, numbers) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
        Ok(Self { pixels, labels, samples: numbers, shape: dataset.sample_shape().to_vec() })
    }

    /// Reads samples in the data set's own order.
    pub fn in_order(dataset: &Dataset, samples: Range<usize>) -> Result<Self, DataError> {
        let mut own = Self::with_room(dataset, samples.len())?;
        own.pixels.resize(samples.len() * dataset.sample_len(), 0);
        dataset.read(samples.clone(), &mut own.pixels)?;
        own.labels.extend(samples.clone().map(|i| dataset.label(i)));
        own.samples.extend(samples.map(|i| i as u32));
        Ok(own)
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Returns the pixels of the sample at a position in the block.
    pub fn image(&self, place: usize) -> &[u8] {
        let bytes: usize = self.shape.iter().product();
        &self.pixels[place * bytes..][..bytes]
    }

    /// Returns the shape of the images.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the sample's label.
    pub fn label(&self, place: usize) -> u8 {
        self.labels[place]
    }

    /// Returns the sample's number in the data set.
    pub fn sample(&self, place: usize) -> u32 {
        self.samples[place]
    }
}

/// Reads an epoch: holds only the open blocks.
pub(crate) struct BlockReader {
    dataset: Dataset,
    layout: Layout,
    order: Order,
    /// The block whose pixels each lane holds, and its pixels.
    lanes: Vec<(Option<usize>, Vec<u8>)>,
    batch: usize,
    share: RankShard,
    /// Remaining samples of the epoch, over all ranks.
    left: usize,
    /// The number of the next batch, from 0 for the first that is read.
    next: usize,
    /// Batches that were read before they were asked for.
    early: VecDeque<(usize, Result<SampleBlock, DataError>)>,
}

impl BlockReader {
    /// Creates a reader of a data set that holds at most `memory` bytes.
    pub fn new(dataset: &Dataset, memory: usize, epoch: Epoch) -> Self {
        let layout = Layout::new(dataset.len(), dataset.sample_len(), memory);
        let mut order = Order::new(layout, epoch.seed, epoch.number);
        let done = epoch.done.saturating_mul(epoch.batch).min(dataset.len());
        // Drawn but not read.
        order.by_ref().take(done).for_each(drop);
        Self {
            dataset: dataset.clone(),
            layout,
            order,
            lanes: vec![(None, Vec::new()); layout.lanes],
            batch: epoch.batch,
            share: epoch.share,
            left: dataset.len() - done,
            next: 0,
            early: VecDeque::new(),
        }
    }

    /// Returns the batch of a number, from 0 for the first that is read. Each is requested once; the
    /// order in which several threads do that does not matter.
    pub fn take(&mut self, number: usize) -> Result<SampleBlock, DataError> {
        while self.next <= number {
            let block = self.read();
            self.early.push_back((self.next, block));
            self.next += 1;
        }
        let place = self.early.iter().position(|(early, _)| *early == number);
        match place.and_then(|place| self.early.remove(place)) {
            Some((_, block)) => block,
            None => Ok(SampleBlock::default()),
        }
    }

    /// Returns the bytes of images that are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.lanes.iter().map(|(_, pixels)| pixels.capacity()).sum()
    }

    /// Reads the shard of the next batch.
    fn read(&mut self) -> Result<SampleBlock, DataError> {
        let size = self.batch.min(self.left);
        self.left -= size;
        let own = self.share.of(size);
        let mut samples = SampleBlock::with_room(&self.dataset, own.len())?;
        for position in 0..size {
            let Some(place) = self.order.next() else { break };
            if own.contains(&position) {
                self.add(place, &mut samples)?;
            }
        }
        Ok(samples)
    }

    fn add(
        &mut self,
        Place { lane, block, offset }: Place,
        samples: &mut SampleBlock,
    ) -> Result<(), DataError> {
        let (range, image) = (self.layout.range(block), self.dataset.sample_len());
        let (held, pixels) = &mut self.lanes[lane];
        if *held != Some(block) {
            *held = None;
            let bytes = range.len() * image;
            if pixels.capacity() < bytes {
                *pixels = room(bytes)?;
            }
            pixels.resize(bytes, 0);
            self.dataset.read(range.clone(), pixels)?;
            *held = Some(block);
        }
        let sample = range.start + offset;
        samples.pixels.extend_from_slice(&pixels[offset * image..][..image]);
        samples.labels.push(self.dataset.label(sample));
        samples.samples.push(sample as u32);
        Ok(())
    }
}

/// Returns an empty list with room for `bytes` bytes.
fn room(bytes: usize) -> Result<Vec<u8>, DataError> {
    let mut list = Vec::new();
    list.try_reserve_exact(bytes).map_err(|_| DatasetProblem::Memory { bytes })?;
    Ok(list)
}
