//! The inputs of an epoch's steps: its samples in their order, in the form that the engine takes.

use std::rc::Rc;

use super::config::FitConfig;
use super::step::{Input, InputKind};
use crate::data::batches::{DataLoader, DataLoaderError, Epoch, ResidentEpoch};
use crate::group::rank_shard::RankShard;
use crate::native::LibtorchError;

/// Samples, batch by batch, in the form that the engine takes.
pub(super) type Inputs<'a> = Box<dyn Iterator<Item = Result<Input<'a>, DataLoaderError>> + 'a>;

/// Returns the samples of an epoch that is read from files.
pub(super) fn read<'a>(
    train: &'a DataLoader,
    kind: InputKind,
    config: &FitConfig,
    epoch: Epoch,
) -> Result<Inputs<'a>, LibtorchError> {
    match kind {
        InputKind::Chosen => {
            Ok(Box::new(train.portions(epoch)?.map(|read| Ok(Input::Read(read?)))))
        }
        _ => {
            let batches = train.read_batches(epoch, config.workers())?;
            Ok(Box::new(batches.map(|batch| Ok(Input::Batch(batch?)))))
        }
    }
}

/// Returns the samples of `order` from a data set in memory; of every batch the part of the rank `shard`.
pub(super) fn held<'a>(
    train: &'a Rc<DataLoader>,
    kind: InputKind,
    config: &FitConfig,
    epoch: usize,
    order: &'a [u32],
    shard: RankShard,
) -> Result<Inputs<'a>, LibtorchError> {
    let parts = shard.of_batches(order.len(), config.batch_size);
    if let Some(resident) = ResidentEpoch::new(train, order, epoch)? {
        return Ok(Box::new(parts.map(move |part| {
            Ok(match kind {
                InputKind::Resident => {
                    Input::Resident(Rc::clone(&resident), part.start, part.len())
                }
                _ => Input::Batch(resident.batch(part.start, part.len())?),
            })
        })));
    }
    match train.on_host(epoch).filter(|_| kind == InputKind::Chosen) {
        Some(host_batches) => {
            Ok(Box::new(parts.map(move |part| Ok(Input::Chosen(host_batches, &order[part])))))
        }
        None => {
            let batches = train.training_batches(order, parts, epoch, config.workers())?;
            Ok(Box::new(batches.map(|batch| Ok(Input::Batch(batch?)))))
        }
    }
}
