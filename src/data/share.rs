//! The part of every batch that one of several processes takes.

use std::ops::Range;

/// One of `ranks` processes that train the same network side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Which one, from 0.
    pub rank: usize,
    /// Of how many.
    pub ranks: usize,
}

impl Share {
    /// That of a process that trains alone: everything.
    pub const WHOLE: Share = Share { rank: 0, ranks: 1 };

    /// The places in a batch of `size` samples that are this share's. Those of all ranks follow one
    /// another without a gap; one is empty where there are fewer samples than ranks.
    pub fn of(self, size: usize) -> Range<usize> {
        // In 128 bits: a product of two sizes may be more than a size.
        let cut = |rank: usize| (size as u128 * rank as u128 / self.ranks as u128) as usize;
        cut(self.rank)..cut(self.rank + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_batch_are_the_batch() {
        for (size, ranks) in [(32, 4), (5, 3), (2, 7), (0, 2), (usize::MAX, 3)] {
            let mut next = 0;
            for rank in 0..ranks {
                let part = Share { rank, ranks }.of(size);
                assert_eq!(part.start, next);
                assert!(part.len() <= size.div_ceil(ranks));
                next = part.end;
            }
            assert_eq!(next, size);
        }
        assert_eq!(Share::WHOLE.of(32), 0..32);
    }
}
