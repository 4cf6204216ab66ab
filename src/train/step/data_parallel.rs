//! Data-parallel steps: each rank computes the gradients of its part of the batch, one all-reduce sums
//! them to those of the whole batch, and each rank updates its weights with them. So all ranks have the
//! same weights as if one had seen the whole batch, up to the rounding of the sums.
//!
//! Sums of f32 depend on their order, and Adam amplifies differences in the last bit from step to step.
//! So a batch on the CPU is split into four microbatches. Each is computed separately, and they are
//! summed pairwise regardless of which rank computed them: 1, 2 and 4 ranks get the same bits.
//!
//! The rest of a step's data travels after the gradients: the metric sums, and rank 0's control message.
//! This way it costs no separate operation.

use std::ops::Range;

use super::Step;
use super::engine::{BatchPart, Input, StepContext};
use super::exchange_buffers::{ExchangeBuffers, RATE_PARTS, TRAILER, list};
use crate::group::rank_shard::RankShard;
use crate::group::{Group, GroupError, tree_reduce};
use crate::native::LibtorchError;
use crate::tensors::{HostTensor, Tensors};
use crate::train::error::TrainError;
use crate::train::snapshot::Sums;

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum StepOutcome {
    /// It was taken.
    Yes,
    /// Rank 0 has left the epoch before it, and so do all ranks.
    Left,
}

/// Rank 0's message about a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ControlMessage {
    /// The step is taken.
    Go,
    /// The step is not taken, nor any later one of this epoch.
    Leave,
    /// The weights were replaced: the step is repeated with the new ones.
    WeightsReplaced,
}

impl ControlMessage {
    const ALL: [Self; 3] = [Self::Go, Self::Leave, Self::WeightsReplaced];
}

/// Encodes an f64 as integers that an f32 can hold.
fn encode_f64(number: f64) -> [f32; RATE_PARTS] {
    let bits = number.to_bits();
    [0, 16, 32, 48].map(|shift| f32::from((bits >> shift) as u16))
}

fn decode_f64(parts: &[f32]) -> f64 {
    let bits = parts.iter().rev().fold(0u64, |bits, &part| bits << 16 | part as u64);
    f64::from_bits(bits)
}

/// A rank's part of a batch.
#[derive(Clone, Copy)]
struct LocalBatch<'a> {
    input: &'a Input<'a>,
    /// The position in the batch of the first sample of `input`.
    first: usize,
    /// Samples of the whole batch.
    batch: usize,
    context: StepContext,
}

impl Step<'_> {
    /// Takes a step with all ranks on a batch of `batch` samples, of which `input` holds this rank's
    /// part.
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
                let local = LocalBatch { input, first, batch, context: self.context() };
                self.reduce_microbatches(local, 0..self.pieces.len(), &mut shared)?;
            }
            let (message, sums) = self.exchange(group, &mut shared, message)?;
            let outcome = match message {
                ControlMessage::Go => {
                    let sums = Sums { samples: batch, ..sums };
                    // This uses rank 0's learning rate.
                    let context = self.context();
                    self.engine.update(shared.gradients(), context, sums)?;
                    self.steps += 1;
                    Some(StepOutcome::Yes)
                }
                ControlMessage::Leave => Some(StepOutcome::Left),
                ControlMessage::WeightsReplaced => None,
            };
            self.shared = shared;
            match outcome {
                Some(outcome) => return Ok(outcome),
                None => self.follow_rank_0(group)?,
            }
        }
    }

    /// Signals the other ranks, which are in the next step, that rank 0 has left the epoch.
    pub fn leave(&mut self, group: &dyn Group) -> Result<(), TrainError> {
        let mut shared = self.shared(group)?;
        let (_message, _sums) = self.exchange(group, &mut shared, ControlMessage::Leave)?;
        self.shared = shared;
        Ok(())
    }

    /// Broadcasts rank 0's weights and their moving average to every rank: at the beginning; when a
    /// callback has changed them; and where machines round differently, so that ranks do not drift apart.
    pub fn follow_rank_0(&mut self, group: &dyn Group) -> Result<(), TrainError> {
        let (mut weights, mut average, _) = self.tensors()?;
        broadcast(group, &mut weights)?;
        broadcast(group, &mut average)?;
        if group.rank() > 0 {
            self.engine.set_weights(&weights).map_err(unlike)?;
            if !average.is_empty() {
                // The average has no buffers: those of the network stay.
                weights.extend(average);
                self.engine.swap_ema_weights()?;
                self.engine.set_weights(&weights).map_err(unlike)?;
                self.engine.swap_ema_weights()?;
            }
        }
        self.replaced = false;
        Ok(())
    }

    /// Computes the sums over some of this rank's microbatches, added pairwise.
    fn reduce_microbatches(
        &mut self,
        local: LocalBatch,
        microbatches: Range<usize>,
        shared: &mut ExchangeBuffers,
    ) -> Result<(), TrainError> {
        if microbatches.len() > 1 {
            let middle = microbatches.start + microbatches.len() / 2;
            self.reduce_microbatches(local, microbatches.start..middle, shared)?;
            let length = shared.list.len();
            let other = shared.spare.pop().map_or_else(|| list(length), Ok)?;
            let first = std::mem::replace(&mut shared.list, other);
            self.reduce_microbatches(local, middle..microbatches.end, shared)?;
            let mut second = std::mem::replace(&mut shared.list, first);
            tree_reduce(&mut [&mut shared.list, &mut second]);
            shared.spare.push(second);
            return Ok(());
        }
        let places = self.pieces[microbatches.start].of(local.batch);
        let part = BatchPart { first: places.start, batch: local.batch };
        let input = local.input.part(places.start - local.first..places.end - local.first)?;
        let sums = self.engine.gradients(&input, part, local.context, shared.gradients())?;
        let length = shared.list.len() - TRAILER;
        let trailer = &mut shared.list[length..];
        trailer.fill(0.0);
        trailer[0] = sums.loss as f32;
        trailer[1] = sums.correct as f32;
        Ok(())
    }

    /// All-reduces the gradients and metric sums, and returns the sums and rank 0's message. Adopts rank
    /// 0's learning rate.
    fn exchange(
        &mut self,
        group: &dyn Group,
        shared: &mut ExchangeBuffers,
        message: ControlMessage,
    ) -> Result<(ControlMessage, Sums), GroupError> {
        if message != ControlMessage::Go {
            shared.list.fill(0.0);
        }
        let length = shared.list.len() - TRAILER;
        if group.rank() == 0 {
            let trailer = &mut shared.list[length..];
            trailer[2] = message as u8 as f32;
            trailer[3..].copy_from_slice(&encode_f64(self.learning_rate()));
        }
        group.all_reduce(&mut shared.list)?;
        let trailer = &shared.list[length..];
        self.set_learning_rate(decode_f64(&trailer[3..]));
        let message = ControlMessage::ALL.get(trailer[2] as usize);
        let message =
            *message.ok_or_else(|| GroupError::Unreadable(format!("message {}", trailer[2])))?;
        let (loss, correct) = (f64::from(trailer[0]), trailer[1] as i64);
        if let (ControlMessage::Go, Some(there)) = (message, &shared.there) {
            group.all_reduce_tensor(there)?;
        }
        Ok((message, Sums { loss, correct, samples: 0 }))
    }

    /// Takes the exchange buffers out; the caller puts them back.
    fn shared(&mut self, group: &dyn Group) -> Result<ExchangeBuffers, LibtorchError> {
        let shared = std::mem::take(&mut self.shared);
        if !shared.list.is_empty() {
            return Ok(shared);
        }
        let kind = self.engine.input_kind();
        ExchangeBuffers::new(group, self.engine.model()?, kind)
    }
}

/// Replaces the values of all tensors by those of rank 0. Names and shapes are the same on every rank.
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

/// Returns the error for weights of rank 0 that do not match this rank's, although both had the same
/// network.
fn unlike(error: crate::model::WeightsError) -> TrainError {
    TrainError::Snapshot(crate::train::SnapshotError::Weights(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learning_rate_round_trips_exactly() {
        for rate in [1e-3, 0.1 + 0.2, f64::MIN_POSITIVE, 12345.678901234567, f64::MAX] {
            assert_eq!(decode_f64(&encode_f64(rate)), rate);
        }
    }
}
