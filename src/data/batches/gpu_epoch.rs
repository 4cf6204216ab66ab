//! An epoch of training over samples in a GPU's memory.

use std::rc::Rc;

use tch::Tensor;

use super::DataLoader;
use super::batch::Batch;
use crate::data::augment::device::DeviceMap;
use crate::data::augment::{Augmenter, Draw, Mix};
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
        let changed = self.changed((augmenter, map), batch, chosen)?;
        match augmenter.mixes() {
            true => self.mixed((augmenter, map), changed, chosen),
            false => Ok(changed),
        }
    }

    /// Returns the batch of these samples as they look in the epoch.
    fn changed(
        &self,
        (augmenter, map): (&Augmenter, &DeviceMap),
        batch: Batch,
        chosen: &[u32],
    ) -> Result<Batch, LibtorchError> {
        let draws: Vec<Draw> = chosen.iter().map(|&i| augmenter.draw(self.epoch, i)).collect();
        Ok(Batch { inputs: map.apply(&draws, &batch.inputs)?.f_contiguous()?, ..batch })
    }

    /// Mixes other samples into the batch of these.
    fn mixed(
        &self,
        (augmenter, map): (&Augmenter, &DeviceMap),
        batch: Batch,
        chosen: &[u32],
    ) -> Result<Batch, LibtorchError> {
        let device = self.loader.device;
        let mix = |&i: &u32| augmenter.mix(self.epoch, i, self.loader.len());
        let mixes: Vec<Option<Mix>> = chosen.iter().map(mix).collect();
        let partner = |(mix, &own): (&Option<Mix>, &u32)| mix.map_or(own, |mix| mix.partner);
        let partners: Vec<u32> = mixes.iter().zip(chosen).map(partner).collect();
        let indices: Vec<i64> = partners.iter().map(|&i| i64::from(i)).collect();
        let others = self.gather(&tensor_buffer::on_device(&indices, device)?)?;
        let others = self.changed((augmenter, map), others, &partners)?;
        let inputs = map.mix(&mixes, &batch.inputs, &others.inputs)?;
        let fraction = |mix: &Option<Mix>| mix.map_or(0.0, |mix| augmenter.fraction(&mix));
        let fractions: Vec<f32> = mixes.iter().map(fraction).collect();
        let fractions = tensor_buffer::on_device(&fractions, device)?;
        with_both_targets(Batch { inputs, ..batch }, &others, &fractions)
    }
}

/// Returns a batch with the targets of both samples of each, of which `fractions` are those of the others in the loss;
/// the larger part first.
fn with_both_targets(
    batch: Batch,
    others: &Batch,
    fractions: &Tensor,
) -> Result<Batch, LibtorchError> {
    let weighted = |parts: Tensor, weights: &Option<Tensor>| match weights {
        Some(weights) => Ok::<_, LibtorchError>(parts.f_mul(weights)?),
        None => Ok(parts),
    };
    let own = weighted(fractions.f_neg()?.f_add_scalar(1.0)?, &batch.weights)?;
    let other = weighted(fractions.shallow_clone(), &others.weights)?;
    let swapped = fractions.f_gt(0.5)?;
    let swapped_rows = match batch.targets.dim() {
        1 => swapped.shallow_clone(),
        _ => swapped.f_unsqueeze(1)?,
    };
    let (targets, others) = (&batch.targets, &others.targets);
    Ok(Batch {
        targets: others.f_where_self(&swapped_rows, targets)?,
        weights: Some(other.f_where_self(&swapped, &own)?),
        mixed: Some((
            targets.f_where_self(&swapped_rows, others)?,
            own.f_where_self(&swapped, &other)?,
        )),
        ..batch
    })
}
