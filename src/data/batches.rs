//! Batches: samples and targets in, tensors on the training device out.
//!
//! Pixels stay u8 until a batch is taken, on the device that trains, and are scaled to [0, 1] only
//! here. Numbers are taken as they are.

mod batch;
mod error;
mod gpu_dataset;
mod gpu_epoch;
mod host_batches;
mod scale_pixels;
mod streamed_batches;

use std::ops::Range;
use std::sync::Arc;

use tch::Device;

pub(crate) use super::active_columns::ActiveColumns;
pub(crate) use super::augment::Scratch;
use super::augment::device::DeviceMap;
use super::augment::{Augment, Augmenter};
use super::dataset::Dataset;
pub use super::pixel_scale::SCALE;
use super::prefetch::Prefetch;
pub(crate) use super::stream::Epoch;
use crate::native::LibtorchError;
pub use batch::Batch;
pub(crate) use error::DataLoaderError;
use gpu_dataset::Resident;
pub(crate) use gpu_epoch::ResidentEpoch;
pub(crate) use host_batches::HostBatches;
use host_batches::Samples;
pub(crate) use scale_pixels::{inputs_of, scale_columns};
pub(crate) use streamed_batches::PrefetchedBatch;

/// Serves a data set's batches to a device: on the CPU from the data set's own bytes, on a GPU from one copy
/// of them in its memory; of a streamed data set it holds only what is being read.
pub(crate) struct DataLoader {
    dataset: Dataset,
    device: Device,
    resident: Option<Resident>,
    augmenter: Option<Arc<Augmenter>>,
    /// The augmenter's part on a GPU.
    map: Option<DeviceMap>,
}

impl DataLoader {
    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Returns the data set.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Loads `dataset` for `device`.
    pub fn new(dataset: &Dataset, device: Device) -> Result<Self, LibtorchError> {
        // A streamed one may be too large for a GPU, too, and is copied batch by batch.
        match device == Device::Cpu || dataset.is_streamed() {
            true => Ok(Self::of(dataset, device, None)),
            false => Self::resident(dataset, device),
        }
    }

    /// Keeps a copy of the data set as tensors on `device`.
    pub fn resident(dataset: &Dataset, device: Device) -> Result<Self, LibtorchError> {
        Ok(Self::of(dataset, device, Some(Resident::new(dataset, device)?)))
    }

    fn of(dataset: &Dataset, device: Device, resident: Option<Resident>) -> Self {
        Self { dataset: dataset.clone(), device, resident, augmenter: None, map: None }
    }

    /// Returns the same samples, deformed again in every epoch by [`training_batches`](Self::training_batches).
    ///
    /// # Errors
    /// Samples that are not pictures, if augmentation is on.
    pub fn augmented(
        self,
        augment: Augment,
        seed: u64,
        epochs: usize,
    ) -> Result<Self, DataLoaderError> {
        if augment.is_off() {
            return Ok(self);
        }
        let shape = augment.check_for(&self.dataset)?;
        let augmenter = Augmenter::new(augment, seed, epochs, shape);
        let map = match self.resident {
            None => None,
            Some(_) => Some(DeviceMap::new(&augmenter, self.device)?),
        };
        Ok(Self { augmenter: Some(Arc::new(augmenter)), map, ..self })
    }

    /// Returns the samples one by one as training sees them in `epoch`; none if they are on a GPU. Those of a
    /// streamed set are read by [`portions`](Self::portions).
    pub fn on_host(&self, epoch: usize) -> Option<HostBatches<'_>> {
        let augmenter = self.augmenter.as_deref();
        let samples = Samples::Set(&self.dataset);
        self.resident.is_none().then_some(HostBatches { samples, augmenter, epoch })
    }

    /// Returns the samples of these parts of `order`, one batch per part, as training sees them in `epoch`:
    /// augmented, and made ahead by `workers` threads on the CPU; those on a GPU are in a [`ResidentEpoch`].
    /// Neither threads nor the batch size change a sample.
    pub fn training_batches<'a>(
        &'a self,
        order: &'a [u32],
        parts: impl Iterator<Item = Range<usize>>,
        epoch: usize,
        workers: usize,
    ) -> Result<Box<dyn Iterator<Item = Result<Batch, LibtorchError>> + 'a>, LibtorchError> {
        let (dataset, order): (_, Arc<[u32]>) = (self.dataset.clone(), order.into());
        let parts: Vec<Range<usize>> = parts.collect();
        let (augmenter, count) = (self.augmenter.clone(), parts.len());
        let make = move |i: usize| {
            let chosen = &order[parts[i].clone()];
            let augmenter = augmenter.as_deref();
            HostBatches { samples: Samples::Set(&dataset), augmenter, epoch }.batch(chosen)
        };
        if workers == 0 {
            return Ok(Box::new((0..count).map(make)));
        }
        let prefetch = Prefetch::new(workers, count, make);
        Ok(Box::new(prefetch.map_err(|error| LibtorchError::thread(&error))?))
    }
}

#[cfg(test)]
mod tests;
