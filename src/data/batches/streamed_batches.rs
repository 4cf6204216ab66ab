//! Batches of a data set in files: read, and if necessary made, by threads ahead of the training step.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::DataLoader;
use super::batch::Batch;
use super::error::DataLoaderError;
use super::host_batches::{HostBatches, Samples};
use crate::data::augment::Augmenter;
use crate::data::error::DataError;
use crate::data::prefetch::Prefetch;
use crate::data::stream::{BlockReader, Epoch, SampleBlock};
use crate::native::LibtorchError;

/// Small batches are handed over several at once, of this many bytes together: each handover wakes a thread,
/// which takes a core from the step.
const AT_ONCE: usize = 256 << 10;

/// The samples of a step as they were read, for an engine that makes its own batches.
pub(crate) struct PrefetchedBatch {
    block: SampleBlock,
    places: Vec<u32>,
    augmenter: Option<Arc<Augmenter>>,
    epoch: usize,
}

impl PrefetchedBatch {
    fn new(block: SampleBlock, augmenter: Option<Arc<Augmenter>>, epoch: usize) -> Self {
        Self { places: (0..block.len() as u32).collect(), block, augmenter, epoch }
    }

    /// Returns the samples one by one, by their positions in this batch.
    pub fn feed(&self) -> HostBatches<'_> {
        let augmenter = self.augmenter.as_deref();
        HostBatches { samples: Samples::SampleBlock(&self.block), augmenter, epoch: self.epoch }
    }

    /// Returns all positions.
    pub fn places(&self) -> &[u32] {
        &self.places
    }
}

impl DataLoader {
    /// Returns whether the samples are in files, and read when they are needed.
    pub fn is_streamed(&self) -> bool {
        self.dataset.is_streamed()
    }

    /// Returns the samples of an epoch's batches, read ahead by a thread.
    pub fn portions(
        &self,
        epoch: Epoch,
    ) -> Result<impl Iterator<Item = Result<PrefetchedBatch, DataError>>, LibtorchError> {
        self.read(epoch, 1, |batch| batch)
    }

    /// Returns an epoch's batches as training sees them: augmented; read and made ahead by `workers` threads, of
    /// which there is at least one. Neither threads nor the batch size change a sample.
    pub fn read_batches(
        &self,
        epoch: Epoch,
        workers: usize,
    ) -> Result<impl Iterator<Item = Result<Batch, DataLoaderError>>, LibtorchError> {
        let device = self.device;
        let batches = self.read(epoch, workers, |batch| batch.feed().batch(&batch.places))?;
        Ok(batches.map(move |batch| Ok(batch??.on(device)?)))
    }

    /// Returns what `make` makes of each prefetched batch, on the threads that read.
    fn read<T: Send + 'static>(
        &self,
        epoch: Epoch,
        workers: usize,
        make: impl Fn(PrefetchedBatch) -> T + Send + Sync + 'static,
    ) -> Result<impl Iterator<Item = Result<T, DataError>>, LibtorchError> {
        let memory = self.dataset.stream_memory().unwrap_or_default();
        let batches = self.len().div_ceil(epoch.batch).saturating_sub(epoch.done);
        let reader = Mutex::new(BlockReader::new(&self.dataset, memory.bytes(), epoch));
        let augmenter = self.augmenter.clone();
        let bytes = epoch.batch.saturating_mul(self.dataset.sample_len());
        let group = (AT_ONCE / bytes.max(1)).max(1);
        let next = move |number: usize| {
            let numbers = number * group..batches.min((number + 1) * group);
            // A thread that panicked stopped between two batches at worst, and only its own batch is missing.
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let blocks: Vec<_> = numbers.map(|number| reader.take(number)).collect();
            drop(reader);
            let prefetch = |block| PrefetchedBatch::new(block, augmenter.clone(), epoch.number);
            let made = blocks.into_iter().map(|block| Ok(make(prefetch(block?))));
            made.collect::<Vec<_>>()
        };
        let groups = Prefetch::new(workers, batches.div_ceil(group), next);
        Ok(groups.map_err(|error| LibtorchError::thread(&error))?.flatten())
    }

    /// Returns samples in their own order, in batches of `size`, the last one with the remaining samples, without
    /// augmentation.
    pub fn in_order(
        &self,
        samples: Range<usize>,
        size: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Batch, DataLoaderError>> + '_>, LibtorchError> {
        let (Range { start, end }, device) = (samples, self.device);
        let range = move |i: usize| start + i * size..end.min(start + (i + 1) * size);
        let count = end.saturating_sub(start).div_ceil(size);
        if let Some(resident) = &self.resident {
            return Ok(Box::new((0..count).map(move |i| Ok(resident.contiguous(range(i))?))));
        }
        if !self.is_streamed() {
            let host =
                HostBatches { samples: Samples::Set(&self.dataset), augmenter: None, epoch: 0 };
            return Ok(Box::new((0..count).map(move |i| {
                let chosen: Vec<u32> = range(i).map(|i| i as u32).collect();
                Ok(host.batch(&chosen)?)
            })));
        }
        let dataset = self.dataset.clone();
        let make = move |i| {
            let batch = PrefetchedBatch::new(SampleBlock::in_order(&dataset, range(i))?, None, 0);
            Ok::<_, DataLoaderError>(batch.feed().batch(batch.places())?)
        };
        let read = Prefetch::new(1, count, make).map_err(|error| LibtorchError::thread(&error))?;
        Ok(Box::new(read.map(move |batch| Ok(batch?.on(device)?))))
    }
}
