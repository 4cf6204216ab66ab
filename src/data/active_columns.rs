//! The columns of a batch, taken as a matrix [samples, pixels], that are not all zero.
//!
//! An image's margins are zero in every sample of a batch: of MNIST's 784 columns some 460 are active
//! among 32 samples and 560 among 256. An all-zero column adds nothing to a product, and the gradient of
//! its weights is zero, so a step can skip it.

use std::ops::Range;

/// Widest gap of all-zero columns between two active ones for which a new run is not worth it.
const GAP: usize = 4;

/// The active columns, as runs of adjacent columns. A run may include an all-zero column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ActiveColumns {
    runs: Vec<Run>,
    width: usize,
}

/// Adjacent columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// The range among all columns.
    pub columns: Range<usize>,
    /// Position of the first one among the active columns.
    pub place: usize,
}

impl ActiveColumns {
    /// Returns all `width` columns.
    pub fn all(width: usize) -> Self {
        let run = Run { columns: 0..width, place: 0 };
        Self { runs: vec![run], width }
    }

    /// Returns the columns whose mark is not zero, or all columns if few are all-zero.
    pub fn marked(marks: &[u8]) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut column = 0;
        while let Some(skipped) = marks[column..].iter().position(|&mark| mark != 0) {
            let start = column + skipped;
            let length = marks[start..].iter().position(|&mark| mark == 0);
            column = length.map_or(marks.len(), |length| start + length);
            match runs.last_mut() {
                Some(run) if run.columns.end + GAP > start => run.columns.end = column,
                last => {
                    let place = last.map_or(0, |run| run.place + run.columns.len());
                    runs.push(Run { columns: start..column, place });
                }
            }
        }
        let some = Self { runs, width: marks.len() };
        // Compacting takes some time, too.
        if some.count() * 8 > some.width * 7 { Self::all(some.width) } else { some }
    }

    /// Returns the number of active columns.
    pub fn count(&self) -> usize {
        self.runs.last().map_or(0, |run| run.place + run.columns.len())
    }

    /// Returns whether no column is left out.
    pub fn is_all(&self) -> bool {
        self.count() == self.width
    }

    /// Returns the runs, in order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Returns the runs within a range of all columns, cut at its ends.
    pub fn within(&self, range: Range<usize>) -> impl Iterator<Item = Run> {
        let first = self.runs.partition_point(|run| run.columns.end <= range.start);
        self.runs[first..].iter().map_while(move |run| {
            let columns = run.columns.start.max(range.start)..run.columns.end.min(range.end);
            let place = run.place + (columns.start - run.columns.start.min(columns.start));
            (!columns.is_empty()).then_some(Run { columns, place })
        })
    }

    /// Returns the positions, among the active columns, of those in a range of all columns.
    pub fn places(&self, range: Range<usize>) -> Range<usize> {
        let mut runs = self.within(range);
        let Some(first) = runs.next() else { return 0..0 };
        let start = first.place;
        let last = runs.last().unwrap_or(first);
        start..last.place + last.columns.len()
    }

    /// Splits a range of all columns into pieces that are either entirely active or entirely inactive.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, bool)> {
        let end = range.end;
        let mut done = range.start;
        let runs = self.within(range).map(|run| run.columns);
        let pieces = runs.chain(std::iter::once(end..end)).flat_map(move |used| {
            let unused = done..used.start;
            done = used.end;
            [(unused, false), (used, true)]
        });
        pieces.filter(|(columns, _)| !columns.is_empty())
    }

    /// Moves the active columns to the front of a row of all columns; what follows them is undefined.
    pub fn compact(&self, row: &mut [f32]) {
        for run in &self.runs {
            row.copy_within(run.columns.clone(), run.place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_marked_column_is_in_one_run(
            marks in prop::collection::vec(prop::sample::select(vec![0u8, 0, 0, 7]), 1..120),
            ends in any::<[prop::sample::Index; 2]>(),
        ) {
            let columns = ActiveColumns::marked(&marks);
            let row: Vec<f32> = (0..marks.len()).map(|i| i as f32).collect();
            let mut compacted = row.clone();
            columns.compact(&mut compacted);
            compacted.truncate(columns.count());
            prop_assert!(compacted.is_sorted_by(|a, b| a < b));
            for (i, &mark) in marks.iter().enumerate() {
                prop_assert!(mark == 0 || compacted.contains(&(i as f32)));
            }
            // And a part of them.
            let [a, b] = ends.map(|end| end.index(marks.len() + 1));
            let range = a.min(b)..a.max(b);
            let part: Vec<f32> = columns
                .within(range.clone())
                .inspect(|run| assert!(!run.columns.is_empty()))
                .flat_map(|run| compacted[run.place..][..run.columns.len()].to_vec())
                .collect();
            let expected: Vec<f32> = compacted
                .iter()
                .copied()
                .filter(|&column| range.contains(&(column as usize)))
                .collect();
            prop_assert_eq!(&part, &expected);
            let mut next = range.start;
            for (piece, used) in columns.pieces(range.clone()) {
                prop_assert_eq!(piece.start, next);
                next = piece.end;
                prop_assert!(piece.into_iter().all(|i| compacted.contains(&(i as f32)) == used));
            }
            prop_assert_eq!(next, range.end);
            let places = columns.places(range);
            prop_assert_eq!(&compacted[places], &expected[..]);
        }
    }

    #[test]
    fn all_zero_and_full_batches() {
        assert_eq!(ActiveColumns::marked(&[0; 5]).count(), 0);
        assert_eq!(ActiveColumns::marked(&[1; 5]), ActiveColumns::all(5));
        let mut marks = [0; 100];
        marks[10..40].fill(1);
        let columns = ActiveColumns::marked(&marks);
        assert_eq!((columns.count(), columns.is_all()), (30, false));
        assert_eq!(columns.runs(), [Run { columns: 10..40, place: 0 }]);
    }
}
