//! The shard of every batch that one of several processes takes.

use std::ops::Range;

use super::Group;

/// The number of microbatches that a batch is cut into, where it divides evenly over the ranks: a power of two,
/// so that their sums can be added up pairwise.
pub(crate) const MICROBATCHES: usize = 4;

/// One of `ranks` processes that train the same network in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RankShard {
    /// This process's number, from 0.
    pub rank: usize,
    /// The number of processes.
    pub ranks: usize,
}

impl RankShard {
    /// Returns the shard of a rank.
    pub fn of_rank(group: &dyn Group) -> Self {
        Self { rank: group.rank(), ranks: group.size() }
    }

    /// The shard of a single process: everything.
    #[cfg(test)]
    pub const WHOLE: RankShard = RankShard { rank: 0, ranks: 1 };

    /// Returns the microbatches of this shard, which are computed separately and added up pairwise. Their sums do
    /// not depend on the number of ranks, as long as each rank has the same number of the [`MICROBATCHES`]: then
    /// 1, 2 and 4 ranks produce exactly the same bits. With other numbers of ranks each shard is one microbatch.
    pub fn pieces(self) -> Vec<Self> {
        let ranks = Self::pieces_of_all(self.ranks);
        let each = ranks / self.ranks;
        let first = self.rank * each;
        (first..first + each).map(|rank| Self { rank, ranks }).collect()
    }

    /// Returns the number of microbatches that `ranks` ranks have together.
    pub fn pieces_of_all(ranks: usize) -> usize {
        if MICROBATCHES.is_multiple_of(ranks) { MICROBATCHES } else { ranks }
    }

    /// Returns the positions in a batch of `size` samples that belong to this shard. The shards of all ranks are
    /// contiguous; one is empty where there are fewer samples than ranks.
    pub fn of(self, size: usize) -> Range<usize> {
        // In 128 bits: a product of two sizes may overflow a usize.
        let cut = |rank: usize| (size as u128 * rank as u128 / self.ranks as u128) as usize;
        cut(self.rank)..cut(self.rank + 1)
    }

    /// Returns this shard's part of each batch that `samples` samples are cut into; the last batch has the remainder.
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
    fn the_shards_of_a_batch_cover_the_batch() {
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
    fn the_microbatches_are_the_same_for_1_2_and_4_ranks() {
        let all = |ranks: usize| -> Vec<RankShard> {
            (0..ranks).flat_map(|rank| RankShard { rank, ranks }.pieces()).collect()
        };
        assert_eq!(all(1).len(), MICROBATCHES);
        assert!(all(1) == all(2) && all(1) == all(4));
        for ranks in [3, 5, 8] {
            assert_eq!(all(ranks).len(), ranks);
        }
        for (rank, ranks) in [(1, 2), (2, 3)] {
            let shard = RankShard { rank, ranks };
            let pieces: Vec<usize> =
                shard.pieces().into_iter().flat_map(|piece| piece.of(11)).collect();
            assert!(pieces.into_iter().eq(shard.of(11)));
        }
    }

    #[test]
    fn batches_are_sharded_one_by_one() {
        let parts = |rank| -> Vec<_> { RankShard { rank, ranks: 3 }.of_batches(11, 5).collect() };
        assert_eq!(parts(0), [0..1, 5..6, 10..10]);
        assert_eq!(parts(1), [1..3, 6..8, 10..10]);
        assert_eq!(parts(2), [3..5, 8..10, 10..11]);
        let whole: Vec<_> = RankShard::WHOLE.of_batches(11, 5).collect();
        assert_eq!(whole, [0..5, 5..10, 10..11]);
    }
}
