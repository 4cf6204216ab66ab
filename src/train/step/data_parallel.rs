//! Steps that ranks take together: each computes the gradients of its part of the batch, one sum over all ranks
//! makes those of the whole, and each renews its own weights with them. So all have the same weights as if
//! one had seen the whole batch, but for the rounding of the sums.
//!
//! Sums of f32 depend on their order, and Adam makes differences in the last bit larger from step to step. So a
//! batch on the CPU is cut into four pieces, each is computed apart, and they are added up in pairs whoever
//! computed them: 1, 2 and 4 ranks come to the same bits.
//!
//! Behind the gradients travels what else a step is about: what was seen, and rank 0's word on how it goes on,
//! which costs no operation of its own in this way.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::{BatchPart, Gradients, Input, InputKind, Step, StepContext};
use crate::data::rank_shard::RankShard;
use crate::group::{Group, GroupError, tree_reduce};
use crate::model::Sequential;
use crate::native::{LibtorchError, reserved};
use crate::tensors::{HostTensor, Tensors};
use crate::train::TrainError;
use crate::train::snapshot::Sums;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum StepOutcome {
    /// It was taken.
    Yes,
    /// Rank 0 has left the epoch before it, and so do all.
    Left,
}

/// Rank 0's word on a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ControlMessage {
    /// It is taken.
    Go,
    /// It is not, nor any that follows in this epoch.
    Leave,
    /// The weights are others now: it is taken again with those.
    WeightsReplaced,
}

impl ControlMessage {
    const ALL: [Self; 3] = [Self::Go, Self::Leave, Self::WeightsReplaced];
}

/// Places behind the gradients: the loss, the right answers, rank 0's word and its learning rate.
const BEHIND: usize = 3 + RATE;
/// Places of a learning rate: 16 of its 64 bits each, since an f32 has no room for more.
const RATE: usize = 4;

/// A number as whole numbers that an f32 has.
fn pieces(number: f64) -> [f32; RATE] {
    let bits = number.to_bits();
    [0, 16, 32, 48].map(|shift| f32::from((bits >> shift) as u16))
}

fn whole(pieces: &[f32]) -> f64 {
    let bits = pieces.iter().rev().fold(0u64, |bits, &piece| bits << 16 | piece as u64);
    f64::from_bits(bits)
}

/// What is exchanged. It is allocated before the first step, and for each piece that is added to another.
#[derive(Default)]
pub(super) struct Shared {
    /// The gradients, unless they are `there`, and what is behind them.
    list: Vec<f32>,
    /// The gradients in a GPU's memory, where the ranks exchange them from there.
    there: Option<Tensor>,
    /// Lists like `list`, for pieces.
    spare: Vec<Vec<f32>>,
}

impl Shared {
    fn new(group: &dyn Group, model: &Sequential, kind: InputKind) -> Result<Self, LibtorchError> {
        let parameters: usize = model.parameters().map(|(_, tensor)| tensor.numel()).sum();
        let device = model.device();
        // One that makes its batches itself computes on the host.
        let there = match kind != InputKind::Chosen && group.is_device_aware(device) {
            true => Some(Tensor::f_zeros([parameters as i64], (Kind::Float, device))?),
            false => None,
        };
        let gradients = if there.is_some() { 0 } else { parameters };
        Ok(Self { list: list(gradients + BEHIND)?, there, spare: Vec::new() })
    }

    fn gradients(&mut self) -> Gradients<'_> {
        let length = self.list.len() - BEHIND;
        match &self.there {
            Some(there) => Gradients::Device(there),
            None => Gradients::Host(&mut self.list[..length]),
        }
    }
}

fn list(length: usize) -> Result<Vec<f32>, LibtorchError> {
    let mut list = reserved(length).map_err(LibtorchError::memory)?;
    list.resize(length, 0.0);
    Ok(list)
}

/// What a rank has of a batch.
#[derive(Clone, Copy)]
struct LocalBatch<'a> {
    input: &'a Input<'a>,
    /// The place in the batch of the first sample of `input`.
    first: usize,
    /// Samples of the whole batch.
    batch: usize,
    context: StepContext,
}

impl Step<'_> {
    /// A step of all ranks on a batch of so many samples, of which `input` has this rank's share.
    pub fn run_distributed(
        &mut self,
        group: &dyn Group,
        input: &Input,
        batch: usize,
    ) -> Result<StepOutcome, TrainError> {
        let first = RankShard::of_rank(group).of(batch).start;
        loop {
            let mut shared = self.shared(group)?;
            let message =
                if self.replaced { ControlMessage::WeightsReplaced } else { ControlMessage::Go };
            if message == ControlMessage::Go {
                let own = LocalBatch { input, first, batch, context: self.context() };
                self.reduce_microbatches(own, 0..self.pieces.len(), &mut shared)?;
            }
            let (message, sums) = self.exchange(group, &mut shared, message)?;
            let taken = match message {
                ControlMessage::Go => {
                    let sums = Sums { samples: batch, ..sums };
                    // With rank 0's learning rate.
                    let context = self.context();
                    self.engine.update(shared.gradients(), context, sums)?;
                    self.steps += 1;
                    Some(StepOutcome::Yes)
                }
                ControlMessage::Leave => Some(StepOutcome::Left),
                ControlMessage::WeightsReplaced => None,
            };
            self.shared = shared;
            match taken {
                Some(taken) => return Ok(taken),
                None => self.follow_rank_0(group)?,
            }
        }
    }

    /// Tells the ranks, who are in the next step, that rank 0 has left the epoch.
    pub fn leave(&mut self, group: &dyn Group) -> Result<(), TrainError> {
        let mut shared = self.shared(group)?;
        let (_word, _sums) = self.exchange(group, &mut shared, ControlMessage::Leave)?;
        self.shared = shared;
        Ok(())
    }

    /// Gives every rank the weights of rank 0, and their average: at the beginning; when a callback has changed
    /// them; and where machines round differently, so that ranks do not drift apart.
    pub fn follow_rank_0(&mut self, group: &dyn Group) -> Result<(), TrainError> {
        let (mut weights, mut average, _) = self.tensors()?;
        broadcast(group, &mut weights)?;
        broadcast(group, &mut average)?;
        if group.rank() > 0 {
            self.engine.set_weights(&weights).map_err(unlike)?;
            if !average.is_empty() {
                self.engine.swap_ema_weights()?;
                self.engine.set_weights(&average).map_err(unlike)?;
                self.engine.swap_ema_weights()?;
            }
        }
        self.replaced = false;
        Ok(())
    }

    /// The sums over some of this rank's pieces, added up in pairs.
    fn reduce_microbatches(
        &mut self,
        own: LocalBatch,
        pieces: Range<usize>,
        shared: &mut Shared,
    ) -> Result<(), TrainError> {
        if pieces.len() > 1 {
            let middle = pieces.start + pieces.len() / 2;
            self.reduce_microbatches(own, pieces.start..middle, shared)?;
            let length = shared.list.len();
            let other = shared.spare.pop().map_or_else(|| list(length), Ok)?;
            let first = std::mem::replace(&mut shared.list, other);
            self.reduce_microbatches(own, middle..pieces.end, shared)?;
            let mut second = std::mem::replace(&mut shared.list, first);
            tree_reduce(&mut [&mut shared.list, &mut second]);
            shared.spare.push(second);
            return Ok(());
        }
        let places = self.pieces[pieces.start].of(own.batch);
        let part = BatchPart { first: places.start, batch: own.batch };
        let input = own.input.part(places.start - own.first..places.end - own.first)?;
        let sums = self.engine.gradients(&input, part, own.context, shared.gradients())?;
        let length = shared.list.len() - BEHIND;
        let behind = &mut shared.list[length..];
        behind.fill(0.0);
        behind[0] = sums.loss as f32;
        behind[1] = sums.correct as f32;
        Ok(())
    }

    /// Sums what all ranks have; what they have seen together, and rank 0's word. Takes over its learning rate.
    fn exchange(
        &mut self,
        group: &dyn Group,
        shared: &mut Shared,
        message: ControlMessage,
    ) -> Result<(ControlMessage, Sums), GroupError> {
        if message != ControlMessage::Go {
            shared.list.fill(0.0);
        }
        let length = shared.list.len() - BEHIND;
        if group.rank() == 0 {
            let behind = &mut shared.list[length..];
            behind[2] = message as u8 as f32;
            behind[3..].copy_from_slice(&pieces(self.learning_rate()));
        }
        group.all_reduce(&mut shared.list)?;
        let behind = &shared.list[length..];
        self.set_learning_rate(whole(&behind[3..]));
        let message = ControlMessage::ALL.get(behind[2] as usize);
        let message =
            *message.ok_or_else(|| GroupError::Unreadable(format!("message {}", behind[2])))?;
        let (loss, correct) = (f64::from(behind[0]), behind[1] as i64);
        if let (ControlMessage::Go, Some(there)) = (message, &shared.there) {
            group.all_reduce_tensor(there)?;
        }
        Ok((message, Sums { loss, correct, samples: 0 }))
    }

    /// What is exchanged, to be put back.
    fn shared(&mut self, group: &dyn Group) -> Result<Shared, LibtorchError> {
        let shared = std::mem::take(&mut self.shared);
        if !shared.list.is_empty() {
            return Ok(shared);
        }
        let kind = self.engine.input_kind();
        Shared::new(group, self.engine.model()?, kind)
    }
}

/// Replaces the values of all tensors, whose names and shapes are the same on every rank, by those of rank 0.
pub(in crate::train) fn broadcast(
    group: &dyn Group,
    tensors: &mut Tensors,
) -> Result<(), GroupError> {
    for tensor in tensors.values_mut() {
        let mut bytes = bytemuck::cast_slice(&tensor.values).to_vec();
        group.broadcast(&mut bytes)?;
        if group.rank() > 0 {
            let numbers = bytes.chunks_exact(size_of::<f32>());
            let values: Vec<f32> = numbers.map(bytemuck::pod_read_unaligned).collect();
            if values.len() != tensor.values.len() {
                let (found, expected) = (values.len(), tensor.values.len());
                let message = format!("{found} numbers in place of {expected}");
                return Err(GroupError::Unreadable(message));
            }
            *tensor = HostTensor::new(tensor.shape.clone(), values);
        }
    }
    Ok(())
}

/// Weights of rank 0 that are not like this rank's own: both were found to have the same network.
fn unlike(error: crate::model::WeightsError) -> TrainError {
    TrainError::Snapshot(crate::train::SnapshotError::Weights(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learning_rate_travels_whole() {
        for rate in [1e-3, 0.1 + 0.2, f64::MIN_POSITIVE, 12345.678901234567, f64::MAX] {
            assert_eq!(whole(&pieces(rate)), rate);
        }
    }
}
