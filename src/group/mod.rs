//! Several processes, or threads, that train one network together: its ranks.
//!
//! A [`Group`] is what one rank sees of all: its number, and a few operations that every rank takes part in, in
//! the same order. Training knows nothing of what is behind it: [`threads`] of one process, or, with the
//! feature `mpi`, processes on one machine or many.

mod consistency;
pub mod launcher;
#[cfg(feature = "mpi")]
mod local_ranks;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

use std::time::Duration;

use tch::{Device, Tensor};

pub use consistency::{RankSetting, verify_consistent_across_ranks};
#[cfg(feature = "mpi")]
pub use local_ranks::LocalRanks;
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use threads::{Threads, threads};

use crate::native::LibtorchError;
use crate::tensors::HostTensor;

/// One rank's view of all. Every operation waits until all ranks have called it.
pub trait Group {
    /// This rank's number, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Whether this is one process that was not started to train with others: its steps need not be those
    /// that any number of ranks would take.
    fn is_single_process(&self) -> bool {
        false
    }

    /// Replaces `values`, of which every rank has as many, by the sums over all ranks: the same, bit for bit, on
    /// each of them. Up to 4 ranks are added up in pairs, as [`tree_reduce`] does it.
    ///
    /// # Errors
    /// A rank that does not answer or has ended.
    fn all_reduce(&self, values: &mut [f32]) -> Result<(), GroupError>;

    /// Whether [`all_reduce_tensor`](Self::all_reduce_tensor) takes what lies in this device's memory from there, and not by
    /// way of the host.
    fn is_device_aware(&self, device: Device) -> bool {
        let _ = device;
        false
    }

    /// As [`all_reduce`](Self::all_reduce), of the f32 values in a tensor, whose elements lie one behind the other.
    ///
    /// # Errors
    /// A rank that does not answer or has ended.
    fn all_reduce_tensor(&self, tensor: &Tensor) -> Result<(), GroupError> {
        let HostTensor { shape, values } = HostTensor::copy_of(tensor)?;
        let mut values = values.to_vec();
        self.all_reduce(&mut values)?;
        Ok(HostTensor::new(shape, values).copy_into(&mut tensor.shallow_clone())?)
    }

    /// What every rank gave, in the order of their numbers, on each of them.
    ///
    /// # Errors
    /// A rank that does not answer or has ended.
    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError>;

    /// Replaces `bytes` by those of rank 0.
    ///
    /// # Errors
    /// A rank that does not answer or has ended.
    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), GroupError>;
}

/// Why ranks cannot go on together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Some rank keeps the others waiting.
    #[error(
        "{} not answered within {} s and may have died or hang, or the network to it may be cut: the job ends here; \
         more --rank-timeout allows for more",
        the_ranks(.ranks, "has", "have"),
        .waited.as_secs_f64()
    )]
    Silent {
        /// Who.
        ranks: Vec<usize>,
        /// How long.
        waited: Duration,
        /// The rank that tells of it, for all those that wait.
        teller: usize,
    },
    /// A rank has ended before its work was done; it knows why.
    #[error("rank {0} has ended before the others: its own error says why")]
    Ended(usize),
    /// A rank began with something else.
    #[error(
        "all ranks must have the same {what}, found {expected} on rank 0 and {found} on rank {rank}: start them \
         with the same program, data and options"
    )]
    Differs {
        /// What.
        what: String,
        /// The first rank that has another.
        rank: usize,
        /// What rank 0 has.
        expected: String,
        /// What that rank has.
        found: String,
    },
    /// Rank 0 sent something else than was expected, which is a bug.
    #[error("rank 0 sent what cannot be read ({0}): all ranks must run the same seqfit")]
    Unreadable(String),
    /// MPI does not do what was asked.
    #[error("MPI: {0}")]
    Mpi(String),
    /// libtorch does not.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl GroupError {
    /// The rank whose word it is, where all ranks have the same error: the others need not repeat it.
    pub fn teller(&self) -> Option<usize> {
        match self {
            Self::Silent { teller, .. } => Some(*teller),
            Self::Differs { .. } => Some(0),
            Self::Ended(rank) => Some(*rank),
            _ => None,
        }
    }
}

/// "rank 2 has", "ranks 2 and 3 have".
fn the_ranks(ranks: &[usize], one: &str, many: &str) -> String {
    const MOST: usize = 8;
    match ranks {
        [] => format!("some rank {one}"),
        [rank] => format!("rank {rank} {one}"),
        ranks if ranks.len() > MOST => {
            let some: Vec<String> = ranks[..MOST].iter().map(ToString::to_string).collect();
            format!("ranks {} and {} more {many}", some.join(", "), ranks.len() - MOST)
        }
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("ranks {} and {last} {many}", first.join(", "))
        }
    }
}

/// The only rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct SingleProcess;

impl Group for SingleProcess {
    fn is_single_process(&self) -> bool {
        true
    }

    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_reduce(&self, _: &mut [f32]) -> Result<(), GroupError> {
        Ok(())
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        Ok(vec![own.to_vec()])
    }

    fn broadcast(&self, _: &mut Vec<u8>) -> Result<(), GroupError> {
        Ok(())
    }
}

/// Adds lists of the same length: the sum of the first half of them and that of the second, each found in the
/// same way. So the sums of ranks that have added up their own pieces like this are those of all pieces. The
/// sum is in the first list, the others are used up.
pub fn tree_reduce(lists: &mut [&mut [f32]]) {
    if lists.len() < 2 {
        return;
    }
    let (first, second) = lists.split_at_mut(lists.len() / 2);
    tree_reduce(first);
    tree_reduce(second);
    if let ([sum, ..], [other, ..]) = (first, second) {
        sum.iter_mut().zip(&**other).for_each(|(sum, &other)| *sum += other);
    }
}

/// Rank 0's value of something, on every rank.
///
/// # Errors
/// As [`Group::broadcast`]; [`GroupError::Unreadable`] for what cannot be sent as JSON.
pub fn broadcast_object<T>(group: &dyn Group, own: T) -> Result<T, GroupError>
where
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    if group.size() == 1 {
        return Ok(own);
    }
    let unreadable = |error: serde_json::Error| GroupError::Unreadable(error.to_string());
    let mut bytes = match group.rank() {
        0 => serde_json::to_vec(&own).map_err(unreadable)?,
        _ => Vec::new(),
    };
    group.broadcast(&mut bytes)?;
    match group.rank() {
        0 => Ok(own),
        _ => serde_json::from_slice(&bytes).map_err(unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_added_in_pairs_whoever_has_them() {
        let sum = |numbers: &[f32]| {
            let mut lists: Vec<[f32; 1]> = numbers.iter().map(|&number| [number]).collect();
            let mut lists: Vec<&mut [f32]> = lists.iter_mut().map(|list| &mut list[..]).collect();
            tree_reduce(&mut lists);
            lists[0][0]
        };
        let pieces = [1e8, 3.0, -1e8, 5.0];
        // 3 is lost in 1e8.
        assert_eq!(sum(&pieces), (1e8 + 3.0) + (-1e8 + 5.0));
        assert!(sum(&pieces) != ((1e8f32 + 3.0) - 1e8) + 5.0);
        assert_eq!(sum(&[sum(&pieces[..2]), sum(&pieces[2..])]), sum(&pieces));
        assert_eq!(sum(&[1.0, 2.0, 3.0]), 6.0);
    }

    #[test]
    fn ranks_are_named_in_words() {
        let said = |ranks: &[usize]| the_ranks(ranks, "has", "have");
        assert_eq!(said(&[2]), "rank 2 has");
        assert_eq!(said(&[2, 3]), "ranks 2 and 3 have");
        assert_eq!(said(&[0, 1, 2]), "ranks 0, 1 and 2 have");
        let many: Vec<usize> = (0..100).collect();
        assert_eq!(said(&many), "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 92 more have");
    }
}
