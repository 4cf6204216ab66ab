//! An epoch of training over samples in a GPU's memory.

use std::rc::Rc;

use tch::Tensor;

use super::DataLoader;
use super::batch::Batch;
use crate::data::augment::Draw;
use crate::native::{LibtorchError, tensor_buffer};

/// An epoch of training over samples in a GPU's memory.
pub(crate) struct ResidentEpoch {
    loader: Rc<DataLoader>,
    chosen: Vec<u32>,
    /// The same, i64 on the device: one transfer per epoch, not one per batch.
    order: Tensor,
    epoch: usize,
}

impl ResidentEpoch {
    /// Returns the samples of `order` as training sees them in `epoch`; none if they are in the host's memory.
    pub fn new(
        loader: &Rc<DataLoader>,
        order: &[u32],
        epoch: usize,
    ) -> Result<Option<Rc<Self>>, LibtorchError> {
        if loader.resident.is_none() {
            return Ok(None);
        }
        let indices: Vec<i64> = order.iter().map(|&i| i64::from(i)).collect();
        let on_device = tensor_buffer::on_device(&indices, loader.device)?;
        let (loader, chosen) = (Rc::clone(loader), order.to_vec());
        Ok(Some(Rc::new(Self { loader, chosen, order: on_device, epoch })))
    }

    /// Returns whether augmentation is off.
    pub fn is_plain(&self) -> bool {
        self.loader.augmenter.is_none()
    }

    /// Returns whether both epochs are over the same tensors.
    pub fn is_of(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.loader, &other.loader)
    }

    /// Returns the numbers of `samples` samples from position `start` of the order: i64 on the device.
    pub fn chosen(&self, start: usize, samples: usize) -> Result<Tensor, LibtorchError> {
        Ok(self.order.f_narrow(0, start as i64, samples as i64)?)
    }

    /// Returns the samples of these numbers, without augmentation.
    pub fn gather(&self, chosen: &Tensor) -> Result<Batch, LibtorchError> {
        let Some(resident) = &self.loader.resident else {
            unreachable!("new() looked");
        };
        resident.gather(chosen)
    }

    /// Returns `samples` samples from position `start` of the order: augmented, if augmentation is on.
    pub fn batch(&self, start: usize, samples: usize) -> Result<Batch, LibtorchError> {
        let batch = self.gather(&self.chosen(start, samples)?)?;
        let (Some(augmenter), Some(map)) = (&self.loader.augmenter, &self.loader.map) else {
            return Ok(batch);
        };
        let chosen = &self.chosen[start..start + samples];
        let draws: Vec<Draw> = chosen.iter().map(|&i| augmenter.draw(self.epoch, i)).collect();
        Ok(Batch { inputs: map.apply(&draws, &batch.inputs)?.f_contiguous()?, ..batch })
    }
}
