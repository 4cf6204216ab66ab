//! Worker threads that make batches ahead of the training step, in order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Batches that each worker may have ready beyond the one it is working on.
const AHEAD: usize = 4;

/// Iterates over the results of `make` for 0, 1, 2, … up to `count`, computed by worker threads; the consumer
/// sees no difference except in time. Dropping it ends the workers.
pub(crate) struct Prefetch<T> {
    /// Worker k makes k, k + n, k + 2n, …, so that taking turns gives the order.
    workers: Vec<(Receiver<T>, JoinHandle<()>)>,
    next: usize,
    count: usize,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts `workers` threads.
    ///
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(
        workers: usize,
        count: usize,
        make: impl Fn(usize) -> T + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let make = Arc::new(make);
        let workers = workers.clamp(1, count.max(1));
        let start = |k: usize| {
            let (sender, receiver) = sync_channel(AHEAD);
            let make = Arc::clone(&make);
            let work = move || {
                for i in (k..count).step_by(workers) {
                    if sender.send(make(i)).is_err() {
                        return;
                    }
                }
            };
            Ok((receiver, Builder::new().name("batches".to_owned()).spawn(work)?))
        };
        let workers = (0..workers).map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { workers, next: 0, count })
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next == self.count {
            return None;
        }
        let (receiver, _) = &self.workers[self.next % self.workers.len()];
        self.next += 1;
        // A worker that ends early has panicked: the rest is missing, which the caller counts.
        receiver.recv().ok()
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        for (receiver, thread) in self.workers.drain(..) {
            drop(receiver);
            // Its panic has been reported by the hook.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_for_any_number_of_workers() {
        for workers in [1, 2, 3, 50] {
            let all: Vec<usize> = Prefetch::new(workers, 20, |i| i * i).unwrap().collect();
            assert_eq!(all, (0..20).map(|i| i * i).collect::<Vec<_>>());
        }
        assert_eq!(Prefetch::new(2, 0, |i| i).unwrap().count(), 0);
    }

    #[test]
    fn dropping_it_early_ends_its_workers() {
        let mut prefetch = Prefetch::new(2, usize::MAX, |i| i).unwrap();
        assert_eq!(prefetch.next(), Some(0));
        drop(prefetch);
    }
}
