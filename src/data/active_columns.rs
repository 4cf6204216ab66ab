//! Which columns of a batch, taken as a matrix [samples, pixels], hold anything.
//!
//! A picture's margins are blank in every sample of a batch: of MNIST's 784 columns some 460 are in use
//! among 32 samples and 560 among 256. What is blank adds nothing to a product, and its weights'
//! gradient is zero, so a step need not look at it.

use std::ops::Range;

/// Blank columns between two that are in use for which it is not worth beginning anew.
const GAP: usize = 4;

/// The columns in use, as runs of neighbours. A blank one may be among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ActiveColumns {
    runs: Vec<Run>,
    width: usize,
}

/// Neighbouring columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    /// Where they are among all columns.
    pub columns: Range<usize>,
    /// Where the first is among those in use.
    pub place: usize,
}

impl ActiveColumns {
    /// All of so many.
    pub fn all(width: usize) -> Self {
        let run = Run { columns: 0..width, place: 0 };
        Self { runs: vec![run], width }
    }

    /// Those that are marked by another number than zero; all, where few are blank.
    pub fn marked(marks: &[u8]) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut column = 0;
        while let Some(blank) = marks[column..].iter().position(|&mark| mark != 0) {
            let start = column + blank;
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
        // Bringing them together takes some time, too.
        if some.count() * 8 > some.width * 7 { Self::all(some.width) } else { some }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.runs.last().map_or(0, |run| run.place + run.columns.len())
    }

    /// Whether none is left out.
    pub fn is_all(&self) -> bool {
        self.count() == self.width
    }

    /// The runs, in their order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The runs within a range of all columns, cut at its ends.
    pub fn within(&self, range: Range<usize>) -> impl Iterator<Item = Run> {
        let first = self.runs.partition_point(|run| run.columns.end <= range.start);
        self.runs[first..].iter().map_while(move |run| {
            let columns = run.columns.start.max(range.start)..run.columns.end.min(range.end);
            let place = run.place + (columns.start - run.columns.start.min(columns.start));
            (!columns.is_empty()).then_some(Run { columns, place })
        })
    }

    /// The places that the columns in use of a range have.
    pub fn places(&self, range: Range<usize>) -> Range<usize> {
        let mut runs = self.within(range);
        let Some(first) = runs.next() else { return 0..0 };
        let start = first.place;
        let last = runs.last().unwrap_or(first);
        start..last.place + last.columns.len()
    }

    /// A range of all columns, in pieces that are in use as a whole, or not at all.
    pub fn pieces(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, bool)> {
        let end = range.end;
        let mut done = range.start;
        let runs = self.within(range).map(|run| run.columns);
        let pieces = runs.chain(std::iter::once(end..end)).flat_map(move |used| {
            let blank = done..used.start;
            done = used.end;
            [(blank, false), (used, true)]
        });
        pieces.filter(|(columns, _)| !columns.is_empty())
    }

    /// Brings the columns in use to the front of a row that has all; what is behind them is left over.
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
            let mut together = row.clone();
            columns.compact(&mut together);
            together.truncate(columns.count());
            prop_assert!(together.is_sorted_by(|a, b| a < b));
            for (i, &mark) in marks.iter().enumerate() {
                prop_assert!(mark == 0 || together.contains(&(i as f32)));
            }
            // And a part of them.
            let [a, b] = ends.map(|end| end.index(marks.len() + 1));
            let range = a.min(b)..a.max(b);
            let part: Vec<f32> = columns
                .within(range.clone())
                .inspect(|run| assert!(!run.columns.is_empty()))
                .flat_map(|run| together[run.place..][..run.columns.len()].to_vec())
                .collect();
            let expected: Vec<f32> = together
                .iter()
                .copied()
                .filter(|&column| range.contains(&(column as usize)))
                .collect();
            prop_assert_eq!(&part, &expected);
            let mut next = range.start;
            for (piece, used) in columns.pieces(range.clone()) {
                prop_assert_eq!(piece.start, next);
                next = piece.end;
                prop_assert!(piece.into_iter().all(|i| together.contains(&(i as f32)) == used));
            }
            prop_assert_eq!(next, range.end);
            let places = columns.places(range);
            prop_assert_eq!(&together[places], &expected[..]);
        }
    }

    #[test]
    fn blank_and_full_batches() {
        assert_eq!(ActiveColumns::marked(&[0; 5]).count(), 0);
        assert_eq!(ActiveColumns::marked(&[1; 5]), ActiveColumns::all(5));
        let mut marks = [0; 100];
        marks[10..40].fill(1);
        let columns = ActiveColumns::marked(&marks);
        assert_eq!((columns.count(), columns.is_all()), (30, false));
        assert_eq!(columns.runs(), [Run { columns: 10..40, place: 0 }]);
    }
}
