//! The part of every batch that one of several processes takes.

use std::ops::Range;

use crate::group::Group;

/// What a batch is cut into, where ranks can have as many pieces each: a power of two, so that they can be
/// added up in pairs.
pub(crate) const MICROBATCHES: usize = 4;

/// One of `ranks` processes that train the same network side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RankShard {
    /// Which one, from 0.
    pub rank: usize,
    /// Of how many.
    pub ranks: usize,
}

impl RankShard {
    /// That of a rank.
    pub fn of_rank(group: &dyn Group) -> Self {
        Self { rank: group.rank(), ranks: group.size() }
    }

    /// That of a process that trains alone: everything.
    #[cfg(test)]
    pub const WHOLE: RankShard = RankShard { rank: 0, ranks: 1 };

    /// The pieces of this share that are computed apart and added up in pairs. Their sums do not depend on how
    /// many ranks there are, as long as each has as many of the [`MICROBATCHES`]: then 1, 2 and 4 ranks come to the
    /// very same bits. Others have their share in one piece.
    pub fn pieces(self) -> Vec<Self> {
        let ranks = Self::pieces_of_all(self.ranks);
        let each = ranks / self.ranks;
        let first = self.rank * each;
        (first..first + each).map(|rank| Self { rank, ranks }).collect()
    }

    /// How many pieces so many ranks have together.
    pub fn pieces_of_all(ranks: usize) -> usize {
        if MICROBATCHES.is_multiple_of(ranks) { MICROBATCHES } else { ranks }
    }

    /// The places in a batch of `size` samples that are this share's. Those of all ranks follow one
    /// another without a gap; one is empty where there are fewer samples than ranks.
    pub fn of(self, size: usize) -> Range<usize> {
        // In 128 bits: a product of two sizes may be more than a size.
        let cut = |rank: usize| (size as u128 * rank as u128 / self.ranks as u128) as usize;
        cut(self.rank)..cut(self.rank + 1)
    }

    /// This share's part of each batch that so many samples are cut into; the last batch holds what is left.
    pub fn of_batches(
        self,
        samples: usize,
        size: usize,
    ) -> impl ExactSizeIterator<Item = Range<usize>> {
        (0..samples.div_ceil(size)).map(move |i| {
            let start = i * size;
            let part = self.of(size.min(samples - start));
            start + part.start..start + part.end
        })
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
                let part = RankShard { rank, ranks }.of(size);
                assert_eq!(part.start, next);
                assert!(part.len() <= size.div_ceil(ranks));
                next = part.end;
            }
            assert_eq!(next, size);
        }
        assert_eq!(RankShard::WHOLE.of(32), 0..32);
    }

    #[test]
    fn the_pieces_are_the_same_for_1_2_and_4_ranks() {
        let all = |ranks: usize| -> Vec<RankShard> {
            (0..ranks).flat_map(|rank| RankShard { rank, ranks }.pieces()).collect()
        };
        assert_eq!(all(1).len(), MICROBATCHES);
        assert!(all(1) == all(2) && all(1) == all(4));
        for ranks in [3, 5, 8] {
            assert_eq!(all(ranks).len(), ranks);
        }
        for (rank, ranks) in [(1, 2), (2, 3)] {
            let share = RankShard { rank, ranks };
            let pieces: Vec<usize> =
                share.pieces().into_iter().flat_map(|piece| piece.of(11)).collect();
            assert!(pieces.into_iter().eq(share.of(11)));
        }
    }

    #[test]
    fn batches_are_shared_one_by_one() {
        let parts = |rank| -> Vec<_> { RankShard { rank, ranks: 3 }.of_batches(11, 5).collect() };
        assert_eq!(parts(0), [0..1, 5..6, 10..10]);
        assert_eq!(parts(1), [1..3, 6..8, 10..10]);
        assert_eq!(parts(2), [3..5, 8..10, 10..11]);
        let whole: Vec<_> = RankShard::WHOLE.of_batches(11, 5).collect();
        assert_eq!(whole, [0..5, 5..10, 10..11]);
    }
}
