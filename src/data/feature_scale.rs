//! Features whose scale keeps a network from learning.
//!
//! A network's first weights suit inputs with a mean near 0 and a standard deviation near 1. Columns in the thousands
//! hide all others, and make steps too long.

use std::fmt;

use super::check_arrays::place_of;
use super::dataset::Dataset;
use super::dataset_problem::place_in_words;
use super::features::Sample;
use crate::message_text::significant;

/// The root mean square from which on a column is not scaled: ten times that of a scaled one.
const LIMIT: f64 = 10.0;

/// The value from which on it is taken for a placeholder or an error.
const HUGE: f32 = 1e9;

/// The number of columns that a message names.
const NAMED: usize = 3;

/// The columns of float features that are far from a mean of 0 and a standard deviation of 1, in words by `Display`.
#[derive(Clone, Debug, PartialEq)]
pub struct UnscaledFeatures {
    /// The number of columns: the values of a sample.
    pub columns: usize,
    /// Those that are not scaled, at least one, the largest first.
    pub unscaled: Vec<ColumnScale>,
}

/// The scale of a column.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnScale {
    /// Its index along each axis of the sample.
    pub place: Vec<usize>,
    /// The mean over the samples.
    pub mean: f64,
    /// The standard deviation, divided by n.
    pub deviation: f64,
    /// The largest absolute value.
    pub largest: f32,
}

impl Dataset {
    /// Returns the columns of float features whose root mean square over the samples is above 10; none of pixels, which
    /// a network gets scaled.
    pub fn unscaled_features(&self) -> Option<UnscaledFeatures> {
        let columns = self.sample_shape().iter().product::<usize>();
        let mut sums = vec![(0f64, 0f64, 0f32); columns];
        for i in 0..self.len() {
            if self.is_streamed() {
                return None;
            }
            let Sample::Floats(values) = self.sample(i) else { return None };
            for ((sum, squares, largest), &value) in sums.iter_mut().zip(values) {
                *sum += f64::from(value);
                *squares += f64::from(value).powi(2);
                *largest = largest.max(value.abs());
            }
        }
        let samples = self.len() as f64;
        let scale = |(column, &(sum, squares, largest)): (usize, &(f64, f64, f32))| {
            let (mean, square) = (sum / samples, squares / samples);
            let deviation = (square - mean.powi(2)).max(0.0).sqrt();
            let (_, place) = place_of(column, self.sample_shape());
            (square > LIMIT.powi(2)).then_some(ColumnScale { place, mean, deviation, largest })
        };
        let mut unscaled: Vec<_> = sums.iter().enumerate().filter_map(scale).collect();
        unscaled.sort_by(|a, b| b.mean.hypot(b.deviation).total_cmp(&a.mean.hypot(a.deviation)));
        (!unscaled.is_empty()).then_some(UnscaledFeatures { columns, unscaled })
    }
}

impl UnscaledFeatures {
    /// Says which columns are not scaled, why it matters, and the cure.
    pub fn advice(&self) -> String {
        // Scaling by a few such values would leave all others the same.
        let first = match self.unscaled.iter().any(|column| column.largest >= HUGE) {
            true => "correct or leave out values that are no measurements, and ",
            false => "",
        };
        format!(
            "{self}; a network learns best from a mean near 0 and a standard deviation near 1: {first}scale each by the \
             training part, (x - x_train.mean(0)) / x_train.std(0)"
        )
    }
}

impl fmt::Display for ColumnScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, mean, deviation, largest } = self;
        let [mean, deviation, largest] = [*mean, *deviation, f64::from(*largest)].map(significant);
        write!(
            f,
            "{} (mean {mean}, standard deviation {deviation}, largest {largest})",
            place_in_words(place)
        )
    }
}

/// "3 of 8 columns of the features are not scaled: 4 (mean 1425, standard deviation 1132, largest 35680), …".
impl fmt::Display for UnscaledFeatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { columns, unscaled } = self;
        let named: Vec<String> = unscaled.iter().take(NAMED).map(ToString::to_string).collect();
        let count = unscaled.len();
        let are = if count == 1 { "is" } else { "are" };
        write!(
            f,
            "{count} of {columns} columns of the features {are} not scaled: column {}",
            named.join(", ")
        )?;
        match count.saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Features, Targets};

    fn data(features: Features) -> Dataset {
        let samples = features.len();
        Dataset::from_arrays(features, Targets::numbers(vec![0.5; samples], ["y"])).unwrap()
    }

    /// numpy.mean(x, 0) and numpy.std(x, 0) of x = [[0.5, 1000, 30], [-0.5, 3000, 1], [1.5, 2000, 2]].
    #[test]
    fn columns_in_the_thousands_are_named_the_largest_first() {
        let x = [0.5, 1000.0, 30.0, -0.5, 3000.0, 1.0, 1.5, 2000.0, 2.0];
        let found = data(Features::floats(x, [3])).unscaled_features().unwrap();
        assert_eq!(found.unscaled.len(), 2);
        assert_eq!(
            found.to_string(),
            "2 of 3 columns of the features are not scaled: column 1 (mean 2000, standard deviation 816.5, largest \
             3000), 2 (mean 11, standard deviation 13.44, largest 30)"
        );
        let pixels = Features::pixels([200; 9], [1, 3]);
        let classes = Targets::classes([0, 1, 1], ["a", "b"]);
        assert_eq!(Dataset::from_arrays(pixels, classes).unwrap().unscaled_features(), None);
        assert_eq!(data(Features::floats([9.0; 9], [3])).unscaled_features(), None);
    }

    #[test]
    fn one_huge_value_is_found_and_printed_in_few_digits() {
        let mut x = vec![0.5f32; 4000];
        x[2343] = 1e30;
        let found = data(Features::floats(x, [2, 2])).unscaled_features().unwrap();
        assert!(found.advice().contains("leave out values that are no measurements"));
        assert_eq!(
            found.to_string(),
            "1 of 4 columns of the features is not scaled: column [1, 1] (mean 1e27, standard deviation 3.161e28, \
             largest 1e30)"
        );
    }
}
