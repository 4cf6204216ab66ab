//! The order of the samples in an epoch.

use rand::seq::SliceRandom;

use crate::rng::{self, Purpose};

/// Returns the order of the samples in `epoch`, drawn from the stream of (seed, epoch).
pub(super) fn order(samples: usize, seed: u64, epoch: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..samples as u32).collect();
    order.shuffle(&mut rng::stream(seed, Purpose::Shuffle, &[epoch as u64]));
    order
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn the_order_is_a_permutation_of_the_seed_and_the_epoch() {
        let order = |seed, epoch| order(100, seed, epoch);
        let mut sorted = order(1, 1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<u32>>());
        assert!(order(1, 1) != sorted);
        assert_eq!(order(1, 1), order(1, 1));
        assert!(order(1, 1) != order(1, 2) && order(1, 1) != order(2, 1));
    }
}
