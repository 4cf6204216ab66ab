//! Ranks that are threads of one process.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Group, GroupError, tree_reduce};

/// A rank that is a thread of this process; dropping it signals the others that it has ended.
#[derive(Debug)]
pub struct Threads {
    hall: Arc<Hall>,
    rank: usize,
}

/// Creates `size` ranks, each for a separate thread. If a rank does not respond within `timeout`, the others
/// return an error.
///
/// ```
/// use std::time::Duration;
/// use seqfit::group::{self, Group};
///
/// let sums: Vec<f32> = std::thread::scope(|scope| {
///     let ranks = group::threads(3, Duration::from_secs(60));
///     let work = |rank: group::Threads| {
///         let mut values = [rank.rank() as f32];
///         rank.all_reduce(&mut values).map(|()| values[0])
///     };
///     let threads: Vec<_> = ranks.into_iter().map(|rank| scope.spawn(move || work(rank))).collect();
///     threads.into_iter().filter_map(|thread| thread.join().ok()?.ok()).collect()
/// });
/// assert_eq!(sums, [3.0, 3.0, 3.0]);
/// ```
pub fn threads(size: usize, timeout: Duration) -> Vec<Threads> {
    let round = Round { given: vec![None; size], taken: 0, result: None };
    let state = Mutex::new(State { round, ended: BTreeSet::new() });
    let hall = Arc::new(Hall { size, timeout, state, change: Condvar::new() });
    (0..size).map(|rank| Threads { hall: Arc::clone(&hall), rank }).collect()
}

/// The state that the ranks share.
#[derive(Debug)]
struct Hall {
    size: usize,
    timeout: Duration,
    state: Mutex<State>,
    change: Condvar,
}

#[derive(Debug)]
struct State {
    round: Round,
    ended: BTreeSet<usize>,
}

/// One collective operation: every rank contributes, then every rank takes the result, and the next can
/// begin.
#[derive(Debug)]
struct Round {
    given: Vec<Option<Vec<u8>>>,
    result: Option<Arc<Vec<Vec<u8>>>>,
    taken: usize,
}

impl Threads {
    /// Contributes `own` and returns what all ranks contributed.
    fn meet(&self, own: Vec<u8>) -> Result<Arc<Vec<Vec<u8>>>, GroupError> {
        let deadline = Instant::now() + self.hall.timeout;
        let mut state = self.hall.lock();
        while state.round.result.is_some() {
            state = self.wait(state, deadline)?;
        }
        state.round.given[self.rank] = Some(own);
        if state.round.given.iter().all(Option::is_some) {
            let given = state.round.given.iter_mut().filter_map(Option::take).collect();
            state.round.result = Some(Arc::new(given));
            self.hall.change.notify_all();
        }
        let result = loop {
            if let Some(result) = &state.round.result {
                break Arc::clone(result);
            }
            state = self.wait(state, deadline)?;
        };
        state.round.taken += 1;
        if state.round.taken == self.hall.size {
            (state.round.taken, state.round.result) = (0, None);
            self.hall.change.notify_all();
        }
        Ok(result)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> Result<MutexGuard<'a, State>, GroupError> {
        // A rank that has ended may have contributed first.
        let absent =
            |rank: &&usize| state.round.result.is_none() && state.round.given[**rank].is_none();
        if let Some(&rank) = state.ended.iter().find(absent) {
            return Err(GroupError::Ended(rank));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let given = &state.round.given;
            let ranks = (0..self.hall.size).filter(|&rank| given[rank].is_none()).collect();
            let teller = given.iter().position(Option::is_some).unwrap_or(0);
            return Err(GroupError::Silent { ranks, waited: self.hall.timeout, teller });
        }
        let waited = self.hall.change.wait_timeout(state, left);
        Ok(waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl Hall {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.hall.lock().ended.insert(self.rank);
        self.hall.change.notify_all();
    }
}

impl Group for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.hall.size
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), GroupError> {
        let all = self.meet(bytemuck::cast_slice(values).to_vec())?;
        let numbers = |bytes: &Vec<u8>| -> Vec<f32> {
            bytes.chunks_exact(size_of::<f32>()).map(bytemuck::pod_read_unaligned).collect()
        };
        let mut lists: Vec<Vec<f32>> = all.iter().map(numbers).collect();
        let mut lists: Vec<&mut [f32]> = lists.iter_mut().map(|list| &mut list[..]).collect();
        tree_reduce(&mut lists);
        for (value, &sum) in values.iter_mut().zip(lists.iter().flat_map(|list| list.iter())) {
            *value = sum;
        }
        Ok(())
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        Ok(self.meet(own.to_vec())?.to_vec())
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), GroupError> {
        let own = if self.rank == 0 { std::mem::take(bytes) } else { Vec::new() };
        let all = self.meet(own)?;
        if let Some(first) = all.first() {
            bytes.clone_from(first);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::verify_consistent_across_ranks;
    use super::*;

    /// Returns the results of `work` on each of `size` ranks.
    fn on_each<T: Send>(
        size: usize,
        timeout: Duration,
        work: impl Fn(Threads) -> T + Sync,
    ) -> Vec<T> {
        std::thread::scope(|scope| {
            let work = &work;
            let ranks = threads(size, timeout).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || work(rank))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn every_rank_gets_the_result() {
        let all = on_each(4, LONG, |group| {
            for round in 0..100 {
                let mut values = [group.rank() as f32, round as f32];
                group.all_reduce(&mut values).unwrap();
                assert_eq!(values, [6.0, 4.0 * round as f32]);
                let gathered = group.all_gather(&vec![group.rank() as u8; group.rank()]).unwrap();
                assert_eq!(gathered, [vec![], vec![1], vec![2; 2], vec![3; 3]]);
                let mut bytes = vec![group.rank() as u8 + round];
                group.broadcast(&mut bytes).unwrap();
                assert_eq!(bytes, [round]);
            }
            group.rank()
        });
        assert_eq!(all, [0, 1, 2, 3]);
    }

    #[test]
    fn a_rank_that_ends_is_named_by_the_others() {
        let errors = on_each(3, LONG, |group| match group.rank() {
            1 => None,
            _ => Some(group.all_reduce(&mut [0.0]).unwrap_err()),
        });
        let ended = Some(GroupError::Ended(1));
        assert_eq!(errors, [ended.clone(), None, ended]);
    }

    #[test]
    fn a_rank_that_does_not_respond_is_named() {
        let errors = on_each(3, Duration::from_millis(300), |group| {
            if group.rank() == 2 {
                std::thread::sleep(Duration::from_millis(900));
            }
            group.all_reduce(&mut [0.0]).err()
        });
        let named = |error: &Option<GroupError>| match error {
            Some(GroupError::Silent { ranks, teller, .. }) => (ranks == &[2], *teller),
            // The other rank has given up and ended.
            Some(GroupError::Ended(_)) => (true, 0),
            _ => (false, 0),
        };
        assert!(matches!(errors[0], Some(GroupError::Silent { .. })) || errors[1].is_some());
        assert!(named(&errors[0]).0 && named(&errors[1]).0, "{errors:?}");
    }

    #[test]
    fn a_differing_setting_is_an_error_on_every_rank() {
        let fact = |name: &str, value: usize| (name.to_owned(), value.to_string());
        let errors = on_each(3, LONG, |group| {
            let facts = [fact("seed", 7), fact("batch size", 32 + group.rank() / 2)];
            verify_consistent_across_ranks(&group, &facts).map_err(|error| error.to_string())
        });
        for error in errors {
            let error = error.unwrap_err();
            assert!(
                error.contains("same batch size, found 32 on rank 0 and 33 on rank 2"),
                "{error}"
            );
        }
        let same =
            on_each(3, LONG, |group| verify_consistent_across_ranks(&group, &[fact("seed", 7)]));
        assert_eq!(same, [Ok(()), Ok(()), Ok(())]);
    }
}
