//! Ranks that are processes, on one machine or several, connected by MPI.
//!
//! MPI itself waits forever for a rank that does not respond. Therefore every operation here is nonblocking
//! and is polled until it is done. A rank that has waited for half of the timeout takes a roll call: it asks
//! all ranks, and every rank that is waiting, in any operation, answers. When the timeout is over, the ranks
//! that have not answered are the ones that everyone is waiting for; the first rank that has answered reports
//! them.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::time::{Duration, Instant};

use tch::{Cuda, Device, Kind, Tensor};

use super::local_ranks::{LocalRank, LocalRanks};
use super::{Group, GroupError};
use crate::group::rank_shard::MICROBATCHES;
use crate::native::mpi::{Parcel, Pending, Tag, World};

/// The maximum number of elements per operation: MPI counts them in 31 bits.
const AT_ONCE: usize = 1 << 28;
/// The part of the timeout that is reserved for ending all processes: this duration, and at most this
/// fraction.
const TO_END: Duration = Duration::from_secs(5);
const MOST_TO_END: f64 = 0.4;
/// The fraction of the waiting time after which the roll call starts.
const CALL: f64 = 0.5;
/// The time that a waiting rank needs to answer.
const TO_ANSWER: Duration = Duration::from_millis(200);
/// The longest gap between two polls, as a fraction of the waiting time: a longer gap means that this rank
/// itself was asleep.
const LONGEST_GAP: f64 = 0.05;

/// A rank that is a process started by MPI.
#[derive(Debug)]
pub struct Mpi {
    world: World,
    local_ranks: LocalRanks,
    timeout: Duration,
    /// The number of the last operation.
    turn: Cell<u64>,
    /// Buffers of the last sum, to be reused.
    lists: RefCell<[Vec<f32>; 2]>,
    reaches_gpus: bool,
}

impl From<String> for GroupError {
    fn from(message: String) -> Self {
        Self::Mpi(message)
    }
}

impl From<tch::TchError> for GroupError {
    fn from(error: tch::TchError) -> Self {
        Self::Libtorch(error.into())
    }
}

impl Mpi {
    /// Starts MPI, once per process. If a rank does not respond within `timeout`, the others return an error.
    ///
    /// # Errors
    /// MPI's own errors.
    pub fn start(timeout: Duration) -> Result<Self, GroupError> {
        let (world, all) = World::start(LocalRank::this().numbers())?;
        let all: Vec<LocalRank> = all.into_iter().map(LocalRank::of).collect();
        Ok(Self {
            local_ranks: LocalRanks::of(world.rank(), &all),
            world,
            timeout,
            turn: Cell::new(0),
            lists: RefCell::default(),
            reaches_gpus: World::reaches_gpus(),
        })
    }

    /// Returns how long a rank waits for the others so that all processes have ended within `timeout`.
    pub fn patience(timeout: Duration) -> Duration {
        timeout - TO_END.min(timeout.mul_f64(MOST_TO_END))
    }

    /// Returns the ranks on this machine.
    pub fn local_ranks(&self) -> &LocalRanks {
        &self.local_ranks
    }

    /// Ends the processes of all ranks at once, with exit code 1.
    pub fn abort(&self) -> ! {
        if self.world.has_given_up() {
            self.local_ranks.end();
        }
        self.world.abort()
    }

    /// Like [`finish`](Self::finish), but after a failure no longer expects the other ranks to reach MPI's
    /// finalization.
    fn wait<M>(&self, pending: Result<Pending<M>, String>) -> Result<M, GroupError> {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        let done = pending.map_err(GroupError::Mpi).and_then(|pending| self.finish(pending, turn));
        done.inspect_err(|_| self.world.give_up())
    }

    /// Waits until the operation is done. It polls continuously at first, because without a late rank it
    /// takes microseconds, and then less and less often, so that a late rank on the same processor is not
    /// held up.
    ///
    /// Time during which this process itself was stopped does not count against the others: a rank that hung
    /// and is woken, which launchers do before they end one, must not blame the ranks that waited for it.
    fn finish<M>(&self, mut pending: Pending<M>, turn: u64) -> Result<M, GroupError> {
        const SPINNING: Duration = Duration::from_micros(200);
        let (world, own) = (&self.world, self.world.rank());
        let others = || (0..world.size()).filter(|&rank| rank != own);
        let mut most = Self::patience(self.timeout);
        let call = most.mul_f64(CALL);
        let longest_gap = most.mul_f64(LONGEST_GAP);
        let (mut waited, mut asked) = (Duration::ZERO, Instant::now());
        // Which ranks have answered the roll call.
        let mut roll: Option<Vec<bool>> = None;
        while !pending.is_done()? {
            let now = Instant::now();
            waited += (now - asked).min(longest_gap);
            asked = now;
            if waited < SPINNING {
                std::thread::yield_now();
                continue;
            }
            std::thread::sleep(nap(waited));
            let mut calls = waited >= call;
            while let Some((rank, their_turn)) = world.heard(Tag::Call)? {
                world.tell(rank, Tag::Answer, their_turn)?;
                // So that both have the same answers when their time is over. Older calls belong to waits
                // that have ended, or to ranks that will call this one again.
                calls |= their_turn >= turn;
            }
            let closed = world.heard(Tag::Close)?.is_some();
            if (calls || closed) && roll.is_none() {
                others().try_for_each(|rank| world.tell(rank, Tag::Call, turn))?;
                roll = Some((0..world.size()).map(|rank| rank == own).collect());
            }
            while let Some((rank, answered)) = world.heard(Tag::Answer)? {
                if let (true, Some(present)) = (answered == turn, &mut roll) {
                    present[rank] = true;
                }
            }
            if closed {
                // Another rank's time is over; this rank's ends as soon as the answers are in.
                most = most.min(waited + TO_ANSWER);
            }
            if let Some(present) = roll.as_ref().filter(|_| waited >= most) {
                let ranks = others().filter(|&rank| !present[rank]).collect();
                let teller = present.iter().position(|&present| present).unwrap_or(own);
                if teller != own {
                    world.tell(teller, Tag::Close, turn)?;
                }
                return Err(GroupError::Silent { ranks, waited: self.timeout, teller });
            }
        }
        pending.take().ok_or_else(|| GroupError::Mpi("it is not done".to_owned()))
    }

    /// Replaces a list with the sums over all ranks, computed pairwise: each rank receives one part of every
    /// rank's list, sums it, and sends the sums to all. Any summation sends at least this much data. Data on
    /// a GPU is never copied to the host, which MPI's own reductions would do.
    fn sum_in_pairs(&self, list: &Tensor) -> Result<(), GroupError> {
        let _no_grad = tch::no_grad_guard();
        let (own, size, length) = (self.world.rank(), self.world.size(), list.numel());
        let each = length.div_ceil(size);
        let part = |rank: usize| (rank * each).min(length)..((rank + 1) * each).min(length);
        let others = || (0..size).filter(|&rank| rank != own && !part(rank).is_empty());
        let inbox = Tensor::f_empty([(size * each) as i64], (Kind::Float, list.device()))?;
        let narrow = |list: &Tensor, part: Range<usize>| {
            list.f_narrow(0, part.start as i64, part.len() as i64)
        };
        let traded = |sends: &[Parcel], receives: &[Parcel]| -> Result<(), GroupError> {
            // The data to send must have been computed.
            if let Device::Cuda(index) = list.device() {
                Cuda::synchronize(index as i64);
            }
            self.wait(self.world.trade([list, &inbox], sends, receives)).map(drop)
        };

        let place = |rank: usize| rank * each..rank * each + part(own).len();
        let sends: Vec<Parcel> = others().map(|rank| (rank, part(rank))).collect();
        let all = (0..size).filter(|&rank| rank != own && !part(own).is_empty());
        let receives: Vec<Parcel> = all.clone().map(|rank| (rank, place(rank))).collect();
        traded(&sends, &receives)?;

        narrow(&inbox, place(own))?.f_copy_(&narrow(list, part(own))?)?;
        let parts: Result<Vec<Tensor>, _> =
            (0..size).map(|rank| narrow(&inbox, place(rank))).collect();
        narrow(list, part(own))?.f_copy_(&added_in_pairs(&parts?)?)?;

        let sends: Vec<Parcel> = all.map(|rank| (rank, part(own))).collect();
        let receives: Vec<Parcel> = others().map(|rank| (rank, part(rank))).collect();
        traded(&sends, &receives)?;
        for rank in others() {
            narrow(list, part(rank))?.f_copy_(&narrow(&inbox, part(rank))?)?;
        }
        Ok(())
    }
}

/// Returns how long to sleep before the next poll. MPI makes progress only while it is polled, so the first
/// sleeps are short; an operation that has taken long will take longer, and a late rank may need the
/// processor.
fn nap(waited: Duration) -> Duration {
    (waited / 20).clamp(Duration::from_micros(10), Duration::from_millis(1))
}

/// Sums tensors in the same order as [`tree_reduce`](super::tree_reduce).
fn added_in_pairs(lists: &[Tensor]) -> Result<Tensor, GroupError> {
    let (first, second) = lists.split_at(lists.len() / 2);
    match (first, second) {
        ([], [only]) => Ok(only.shallow_clone()),
        _ => Ok(added_in_pairs(first)?.f_add(&added_in_pairs(second)?)?),
    }
}

impl Group for Mpi {
    fn rank(&self) -> usize {
        self.world.rank()
    }

    fn size(&self) -> usize {
        self.world.size()
    }

    fn is_device_aware(&self, device: Device) -> bool {
        self.reaches_gpus && device.is_cuda()
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), GroupError> {
        if self.world.size() == 1 {
            return Ok(());
        }
        for part in values.chunks_mut(AT_ONCE) {
            // Up to this many ranks, the sums are bitwise independent of the number of ranks.
            if self.world.size() <= MICROBATCHES {
                let list = Tensor::f_from_slice(part)?;
                self.sum_in_pairs(&list)?;
                list.f_copy_data(part, part.len())?;
                continue;
            }
            let [mut own, mut all] = self.lists.take();
            own.clear();
            own.extend_from_slice(part);
            [own, all] = self.wait(self.world.sum(own, all))?;
            part.copy_from_slice(&all);
            self.lists.replace([own, all]);
        }
        Ok(())
    }

    fn all_reduce_tensor(&self, tensor: &Tensor) -> Result<(), GroupError> {
        let list = tensor.f_view([-1])?;
        let parts = (0..tensor.numel()).step_by(AT_ONCE);
        parts.map(|first| (first, AT_ONCE.min(tensor.numel() - first))).try_for_each(
            |(first, length)| self.sum_in_pairs(&list.f_narrow(0, first as i64, length as i64)?),
        )
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        let length = (own.len() as u64).to_le_bytes();
        let each = vec![length.len(); self.world.size()];
        let [_, lengths] = self.wait(self.world.gather(length.to_vec(), &each))?;
        let lengths: Vec<usize> = numbers(&lengths).collect();
        let [_, all] = self.wait(self.world.gather(own.to_vec(), &lengths))?;
        let mut rest = &all[..];
        let mut take = |length: usize| {
            let (part, tail) = rest.split_at(length.min(rest.len()));
            rest = tail;
            part.to_vec()
        };
        Ok(lengths.into_iter().map(&mut take).collect())
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), GroupError> {
        let length = (bytes.len() as u64).to_le_bytes();
        let length = self.wait(self.world.broadcast(length.to_vec()))?;
        bytes.resize(numbers(&length).next().unwrap_or(0), 0);
        for part in bytes.chunks_mut(AT_ONCE) {
            let sent = self.wait(self.world.broadcast(part.to_vec()))?;
            part.copy_from_slice(&sent);
        }
        Ok(())
    }
}

/// Decodes the numbers in these bytes.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes
        .chunks_exact(8)
        .filter_map(|bytes| usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok())
}
