//! Batches of a data set in files: read, and if need be made, by threads ahead of the training step.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use tch::Device;

use super::{Batch, DataLoader, DataLoaderError, HostBatches, Images};
use crate::data::augment::Augmenter;
use crate::data::error::DataError;
use crate::data::prefetch::Prefetch;
use crate::data::stream::{BlockReader, Epoch, SampleBlock};
use crate::native::LibtorchError;

/// Small batches are handed over several at once, of so many bytes together: each time wakes a thread, which
/// takes a core from the step.
const AT_ONCE: usize = 256 << 10;

/// The samples of a step as they were read, for an engine that makes its batches itself.
pub(crate) struct PrefetchedBatch {
    chunk: SampleBlock,
    places: Vec<u32>,
    augmenter: Option<Arc<Augmenter>>,
    epoch: usize,
}

impl PrefetchedBatch {
    fn new(chunk: SampleBlock, augmenter: Option<Arc<Augmenter>>, epoch: usize) -> Self {
        Self { places: (0..chunk.len() as u32).collect(), chunk, augmenter, epoch }
    }

    /// The samples one by one, by their places in this portion.
    pub fn feed(&self) -> HostBatches<'_> {
        let augmenter = self.augmenter.as_deref();
        HostBatches { images: Images::SampleBlock(&self.chunk), augmenter, epoch: self.epoch }
    }

    /// All places.
    pub fn places(&self) -> &[u32] {
        &self.places
    }
}

impl DataLoader {
    /// Whether the samples are in files, and read when they are needed.
    pub fn is_streamed(&self) -> bool {
        self.dataset.is_streamed()
    }

    /// The samples of an epoch's batches, read by a thread ahead.
    pub fn portions(
        &self,
        epoch: Epoch,
    ) -> Result<impl Iterator<Item = Result<PrefetchedBatch, DataError>>, LibtorchError> {
        self.read(epoch, 1, |portion| portion)
    }

    /// An epoch's batches as training takes them: augmented; read and made ahead by `workers` threads, of
    /// which there is at least one. Neither threads nor the size of batches change a sample.
    pub fn read_batches(
        &self,
        epoch: Epoch,
        workers: usize,
    ) -> Result<impl Iterator<Item = Result<Batch, DataLoaderError>>, LibtorchError> {
        let device = self.device;
        let batches = self.read(epoch, workers, |portion| portion.feed().batch(&portion.places))?;
        Ok(batches.map(move |batch| Ok(batch??.on(device)?)))
    }

    /// What `make` makes of each portion, on the threads that read.
    fn read<T: Send + 'static>(
        &self,
        epoch: Epoch,
        workers: usize,
        make: impl Fn(PrefetchedBatch) -> T + Send + Sync + 'static,
    ) -> Result<impl Iterator<Item = Result<T, DataError>>, LibtorchError> {
        let memory = self.dataset.stream_memory().unwrap_or_default();
        let batches = self.len().div_ceil(epoch.batch).saturating_sub(epoch.done);
        let reading = Mutex::new(BlockReader::new(&self.dataset, memory.bytes(), epoch));
        let augmenter = self.augmenter.clone();
        let bytes = epoch.batch.saturating_mul(self.dataset.image_bytes());
        let group = (AT_ONCE / bytes.max(1)).max(1);
        let next = move |number: usize| {
            let numbers = number * group..batches.min((number + 1) * group);
            // One that panicked has left off between two batches at worst, and its own is missing.
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            let chunks: Vec<_> = numbers.map(|number| reading.take(number)).collect();
            drop(reading);
            let portion = |chunk| PrefetchedBatch::new(chunk, augmenter.clone(), epoch.number);
            let made = chunks.into_iter().map(|chunk| Ok(make(portion(chunk?))));
            made.collect::<Vec<_>>()
        };
        let groups = Prefetch::new(workers, batches.div_ceil(group), next);
        Ok(groups.map_err(|error| LibtorchError::thread(&error))?.flatten())
    }

    /// Samples in their own order, in batches of `size`, the last one with what is
    /// left, as they are.
    pub fn in_order(
        &self,
        samples: Range<usize>,
        size: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Batch, DataLoaderError>> + '_>, LibtorchError> {
        let (Range { start, end }, device) = (samples, self.device);
        let range = move |i: usize| start + i * size..end.min(start + (i + 1) * size);
        let count = end.saturating_sub(start).div_ceil(size);
        if let Some(resident) = &self.resident {
            return Ok(Box::new((0..count).map(move |i| Ok(resident.neighbours(range(i))?))));
        }
        if !self.is_streamed() {
            let feed =
                HostBatches { images: Images::Set(&self.dataset), augmenter: None, epoch: 0 };
            return Ok(Box::new((0..count).map(move |i| {
                let chosen: Vec<u32> = range(i).map(|i| i as u32).collect();
                Ok(feed.batch(&chosen)?)
            })));
        }
        let dataset = self.dataset.clone();
        let make = move |i| {
            let portion = PrefetchedBatch::new(SampleBlock::in_order(&dataset, range(i))?, None, 0);
            Ok::<_, DataLoaderError>(portion.feed().batch(portion.places())?)
        };
        let read = Prefetch::new(1, count, make).map_err(|error| LibtorchError::thread(&error))?;
        Ok(Box::new(read.map(move |batch| Ok(batch?.on(device)?))))
    }
}

impl Batch {
    /// This batch on a device.
    fn on(self, device: Device) -> Result<Self, LibtorchError> {
        if device == Device::Cpu {
            return Ok(self);
        }
        let Self { images, labels } = self;
        Ok(Self { images: images.f_to_device(device)?, labels: labels.f_to_device(device)? })
    }
}
