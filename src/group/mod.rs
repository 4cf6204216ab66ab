//! Ranks: several processes or threads that train one network together.
//!
//! A [`Group`] is one rank's view of all ranks: its rank and a few collective operations that every rank
//! calls in the same order. Training does not depend on the backend: [`threads`] in one process or, with the
//! feature `mpi`, processes on one machine or several.

pub mod launcher_variables;
#[cfg(any(feature = "mpi", test))]
#[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "without MPI only its unit test runs"))]
mod local_ranks;
#[cfg(feature = "mpi")]
mod mpi;
pub(crate) mod rank_shard;
mod same_settings;
mod thread_ranks;

use std::time::Duration;

use tch::{Device, Tensor};

#[cfg(feature = "mpi")]
pub use local_ranks::LocalRanks;
#[cfg(feature = "mpi")]
pub use mpi::Mpi;
pub use same_settings::{RankSetting, verify_consistent_across_ranks};
pub use thread_ranks::{Threads, threads};

use crate::native::LibtorchError;
use crate::tensors::HostTensor;

/// One rank's view of the group. Every operation blocks until all ranks have called it.
pub trait Group {
    /// Returns this rank's number, from 0.
    fn rank(&self) -> usize;

    /// Returns the number of ranks.
    fn size(&self) -> usize;

    /// Returns whether this is a single process that was not started for distributed training: its steps need
    /// not be those that any number of ranks would take.
    fn is_single_process(&self) -> bool {
        false
    }

    /// Replaces `values`, which have the same length on every rank, with their sums over all ranks. The
    /// result is bitwise identical on all ranks. Up to 4 ranks are summed pairwise.
    ///
    /// # Errors
    /// A rank that does not respond or has ended.
    fn all_reduce(&self, values: &mut [f32]) -> Result<(), GroupError>;

    /// Returns whether [`all_reduce_tensor`](Self::all_reduce_tensor) reads and writes this device's memory
    /// directly instead of going through the host.
    fn is_device_aware(&self, device: Device) -> bool {
        let _ = device;
        false
    }

    /// Like [`all_reduce`](Self::all_reduce), but sums the f32 values of a contiguous tensor in place.
    ///
    /// # Errors
    /// A rank that does not respond or has ended.
    fn all_reduce_tensor(&self, tensor: &Tensor) -> Result<(), GroupError> {
        let HostTensor { shape, values } = HostTensor::copy_of(tensor)?;
        let mut values = values.to_vec();
        self.all_reduce(&mut values)?;
        Ok(HostTensor::new(shape, values).copy_into(&mut tensor.shallow_clone())?)
    }

    /// Returns what every rank passed, in rank order, on all ranks.
    ///
    /// # Errors
    /// A rank that does not respond or has ended.
    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError>;

    /// Replaces `bytes` with those of rank 0.
    ///
    /// # Errors
    /// A rank that does not respond or has ended.
    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), GroupError>;
}

/// Why ranks cannot continue together.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Some ranks did not respond in time.
    #[error(
        "{} not answered within {} s: a crash, a hang or a broken network connection; the job stops here; \
         raise --rank-timeout to wait longer",
        the_ranks(.ranks, "has", "have"),
        .waited.as_secs_f64()
    )]
    Silent {
        /// The ranks that did not respond.
        ranks: Vec<usize>,
        /// The time waited.
        waited: Duration,
        /// The rank that reports the error on behalf of all that waited.
        teller: usize,
    },
    /// A rank ended before its work was done; that rank reports the reason.
    #[error("rank {0} ended before the others: see its own error for the reason")]
    Ended(usize),
    /// A rank was started with different settings.
    #[error(
        "all ranks must have the same {what}, found {expected} on rank 0 and {found} on rank {rank}: start them \
         with the same program, data and options"
    )]
    Differs {
        /// The setting.
        what: String,
        /// The first rank that differs.
        rank: usize,
        /// Rank 0's value.
        expected: String,
        /// That rank's value.
        found: String,
    },
    /// Rank 0 sent something other than what was expected, which is a bug.
    #[error(
        "rank 0 sent data that cannot be parsed ({0}): all ranks must run the same version of seqfit"
    )]
    Unreadable(String),
    /// An MPI call failed.
    #[error("MPI: {0}")]
    Mpi(String),
    /// A libtorch call failed.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
}

impl GroupError {
    /// Returns the rank that reports the error if all ranks have the same one; the others need not repeat it.
    pub fn teller(&self) -> Option<usize> {
        match self {
            Self::Silent { teller, .. } => Some(*teller),
            Self::Differs { .. } => Some(0),
            Self::Ended(rank) => Some(*rank),
            _ => None,
        }
    }
}

/// Formats "rank 2 has", "ranks 2 and 3 have".
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

/// The group of one process that trains alone.
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

/// Sums lists of the same length pairwise: the sum of the first half plus the sum of the second half, each
/// computed the same way. If ranks have summed their own pieces like this, the sum over the ranks is the sum
/// over all pieces. The result is in the first list; the contents of the others are overwritten.
pub(crate) fn tree_reduce(lists: &mut [&mut [f32]]) {
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

/// Returns rank 0's value on every rank.
///
/// # Errors
/// Like [`Group::broadcast`]; [`GroupError::Unreadable`] for a value that cannot be sent as JSON.
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
    fn pairwise_sums_do_not_depend_on_the_ranks() {
        let sum = |numbers: &[f32]| {
            let mut lists: Vec<[f32; 1]> = numbers.iter().map(|&number| [number]).collect();
            let mut lists: Vec<&mut [f32]> = lists.iter_mut().map(|list| &mut list[..]).collect();
            tree_reduce(&mut lists);
            lists[0][0]
        };
        let pieces = [1e8, 3.0, -1e8, 5.0];
        // 3 is lost when added to 1e8.
        assert_eq!(sum(&pieces), (1e8 + 3.0) + (-1e8 + 5.0));
        assert!(sum(&pieces) != ((1e8f32 + 3.0) - 1e8) + 5.0);
        assert_eq!(sum(&[sum(&pieces[..2]), sum(&pieces[2..])]), sum(&pieces));
        assert_eq!(sum(&[1.0, 2.0, 3.0]), 6.0);
    }

    #[test]
    fn errors_name_at_most_eight_ranks() {
        let said = |ranks: &[usize]| the_ranks(ranks, "has", "have");
        assert_eq!(said(&[2]), "rank 2 has");
        assert_eq!(said(&[2, 3]), "ranks 2 and 3 have");
        assert_eq!(said(&[0, 1, 2]), "ranks 0, 1 and 2 have");
        let many: Vec<usize> = (0..100).collect();
        assert_eq!(said(&many), "ranks 0, 1, 2, 3, 4, 5, 6, 7 and 92 more have");
    }
}
