//! Ranks that are processes, on one machine or many, by MPI.
//!
//! MPI itself waits for ever for a rank that is silent. Here everything is started without waiting, and asked
//! for until it is done. Who has waited for half of the time that there is calls the roll: it asks all ranks,
//! and whoever waits, in whatever operation, answers. When the time is over, those that have not answered are
//! the ones that everybody waits for; the first that has tells of it.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::time::{Duration, Instant};

use tch::{Cuda, Device, Kind, Tensor};

use super::local_ranks::{LocalRank, LocalRanks};
use super::{Group, GroupError};
use crate::data::rank_shard::MICROBATCHES;
use crate::native::mpi::{Parcel, Pending, Tag, World};

/// Elements of one operation at most: MPI counts them in 31 bits.
const AT_ONCE: usize = 1 << 28;
/// What is left of the time that is allowed for ending all processes: so much, and at most that share of it.
const TO_END: Duration = Duration::from_secs(5);
const MOST_TO_END: f64 = 0.4;
/// The share of the time of waiting after which the roll is called.
const CALL: f64 = 0.5;
/// How long a rank that waits takes to answer.
const TO_ANSWER: Duration = Duration::from_millis(200);
/// The share of the time that may pass between two looks at what is pending: more is this rank's own sleep.
const LONGEST_GAP: f64 = 0.05;

/// A rank that is a process which MPI has started.
#[derive(Debug)]
pub struct Mpi {
    world: World,
    local_ranks: LocalRanks,
    timeout: Duration,
    /// The number of the last operation.
    turn: Cell<u64>,
    /// Lists of the last sum, to be used again.
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
    /// Starts MPI, once in a process. A rank that keeps the others waiting for `timeout` is an error of theirs.
    ///
    /// # Errors
    /// MPI's own.
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

    /// How long a rank waits for others that have so much time, so that all processes have ended in it.
    pub fn patience(timeout: Duration) -> Duration {
        timeout - TO_END.min(timeout.mul_f64(MOST_TO_END))
    }

    /// The ranks on this one's machine.
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

    /// As [`finish`](Self::finish); where that fails, the others will not come to MPI's end any more.
    fn wait<M>(&self, pending: Result<Pending<M>, String>) -> Result<M, GroupError> {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        let done = pending.map_err(GroupError::Mpi).and_then(|pending| self.finish(pending, turn));
        done.inspect_err(|_| self.world.give_up())
    }

    /// Waits until it is done: asking all the time at first, as it takes microseconds where no rank is late, and
    /// then less and less often, so that a late rank on the same processor is not held up.
    ///
    /// Time in which this process itself was stopped is not the others' fault: a rank that has hung and is
    /// woken, as launchers do before they end one, must not blame those that have waited for it.
    fn finish<M>(&self, mut pending: Pending<M>, turn: u64) -> Result<M, GroupError> {
        const SPINNING: Duration = Duration::from_micros(200);
        let (world, own) = (&self.world, self.world.rank());
        let others = || (0..world.size()).filter(|&rank| rank != own);
        let mut most = Self::patience(self.timeout);
        let call = most.mul_f64(CALL);
        let longest_gap = most.mul_f64(LONGEST_GAP);
        let (mut waited, mut asked) = (Duration::ZERO, Instant::now());
        // Who is there.
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
                // So that both know the same when their time is over; older ones are of waiting that ended,
                // or of ranks that will call this one again.
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
                // Another's time is over; this one's is as soon as the answers are here.
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

    /// Replaces a list by the sums over all ranks, added up in pairs: each rank is sent a part of everybody's
    /// list, sums it, and sends the sums to all. That is as much as any way to sum sends at least, and what
    /// lies on a GPU never leaves it for the host, which MPI's own sums would copy it to.
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
            // What is sent must have been computed.
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

/// How long to sleep before the next look: MPI brings things on while it is asked, so not for long at first;
/// what has taken long will take longer, and a late rank may want the processor.
fn nap(waited: Duration) -> Duration {
    (waited / 20).clamp(Duration::from_micros(10), Duration::from_millis(1))
}

/// As [`tree_reduce`](super::tree_reduce).
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
            // As many as may come to the same bits.
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
            let (part, behind) = rest.split_at(length.min(rest.len()));
            rest = behind;
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

/// The numbers that lie in these bytes.
fn numbers(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    bytes
        .chunks_exact(8)
        .filter_map(|bytes| usize::try_from(u64::from_le_bytes(*bytes.first_chunk()?)).ok())
}
