//! Steps that ranks take together: each computes the gradients of its part of the batch, one sum over all ranks
//! makes those of the whole, and each renews its own weights with them. So all have the same weights as if
//! one had seen the whole batch, but for the rounding of the sums.
//!
//! Behind the gradients travels what else a step is about: what was seen, and rank 0's word on how it goes on,
//! which costs no operation of its own in this way.

use super::{Input, Part, Step};
use crate::group::{Group, GroupError};
use crate::native::{LibtorchError, reserved};
use crate::tensors::{HostTensor, Tensors};
use crate::train::TrainError;
use crate::train::snapshot::Sums;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Taken {
    /// It was taken.
    Yes,
    /// Rank 0 has left the epoch before it, and so do all.
    Left,
}

/// Rank 0's word on a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It is taken.
    Go,
    /// It is not, nor any that follows in this epoch.
    Leave,
    /// The weights are others now: it is taken again with those.
    Renewed,
}

impl Word {
    const ALL: [Self; 3] = [Self::Go, Self::Leave, Self::Renewed];
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

impl Step<'_> {
    /// A step of all ranks, whose own parts of the batch `input` and `part` are.
    pub fn run_with(
        &mut self,
        group: &dyn Group,
        input: &Input,
        part: Part,
    ) -> Result<Taken, TrainError> {
        loop {
            let mut shared = self.shared_list()?;
            let turn = self.turn();
            let length = shared.len() - BEHIND;
            let word = if self.replaced { Word::Renewed } else { Word::Go };
            let own = match word {
                Word::Go => self.engine.gradients(input, part, turn, &mut shared[..length])?,
                _ => Sums::default(),
            };
            let sums = self.exchange(group, &mut shared, own, word)?;
            let taken = match sums {
                (Word::Go, sums) => {
                    let sums = Sums { samples: part.batch, ..sums };
                    // With rank 0's learning rate.
                    let turn = self.turn();
                    self.engine.update(&mut shared[..length], turn, sums)?;
                    self.steps += 1;
                    Some(Taken::Yes)
                }
                (Word::Leave, _) => Some(Taken::Left),
                (Word::Renewed, _) => None,
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
        let mut shared = self.shared_list()?;
        shared.fill(0.0);
        let (_word, _sums) = self.exchange(group, &mut shared, Sums::default(), Word::Leave)?;
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
                self.engine.exchange_average()?;
                self.engine.set_weights(&average).map_err(unlike)?;
                self.engine.exchange_average()?;
            }
        }
        self.replaced = false;
        Ok(())
    }

    /// Sums what all ranks have; what they have seen together, and rank 0's word. Takes over its learning rate.
    fn exchange(
        &mut self,
        group: &dyn Group,
        shared: &mut [f32],
        own: Sums,
        word: Word,
    ) -> Result<(Word, Sums), GroupError> {
        let (_, behind) = shared.split_at_mut(shared.len() - BEHIND);
        behind.fill(0.0);
        behind[0] = own.loss as f32;
        behind[1] = own.correct as f32;
        if group.rank() == 0 {
            behind[2] = word as u8 as f32;
            behind[3..].copy_from_slice(&pieces(self.learning_rate()));
        }
        group.sum(shared)?;
        let (_, behind) = shared.split_at(shared.len() - BEHIND);
        self.set_learning_rate(whole(&behind[3..]));
        let word = Word::ALL.get(behind[2] as usize);
        let word = *word.ok_or_else(|| GroupError::Unreadable(format!("word {}", behind[2])))?;
        let (loss, correct) = (f64::from(behind[0]), behind[1] as i64);
        Ok((word, Sums { loss, correct, samples: 0 }))
    }

    /// Room for the gradients and what is behind them, to be put back.
    fn shared_list(&mut self) -> Result<Vec<f32>, LibtorchError> {
        let mut shared = std::mem::take(&mut self.shared);
        if shared.is_empty() {
            let parameters: usize =
                self.engine.model()?.parameters().map(|(_, tensor)| tensor.numel()).sum();
            shared = reserved(parameters + BEHIND).map_err(LibtorchError::memory)?;
            shared.resize(parameters + BEHIND, 0.0);
        }
        Ok(shared)
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
