//! The predictions of numbers, summarized for plots, so that their size does not depend on the number of samples.

use crate::data::Targets;
use crate::evaluate::Residuals;

/// The number of bars in a histogram of errors.
pub(super) const BARS: usize = 41;
/// The most dots in a plot.
const DOTS: usize = 1000;
/// The most numbers that are shown.
const SHOWN: usize = 8;

/// The predictions of one number.
#[derive(Clone, Debug)]
pub struct NumberFit {
    /// Its name.
    pub name: String,
    /// Its errors.
    pub residuals: Residuals,
    /// True and predicted values, of samples at equal distances if there are too many.
    pub points: Vec<[f64; 2]>,
    /// The number of samples by error, in ranges of equal width between the ends of [`range`](Self::range).
    pub histogram: Vec<u64>,
    /// The range of the histogram.
    pub range: [f64; 2],
    pub(super) predicted_plot: String,
    pub(super) errors_plot: String,
}

impl NumberFit {
    /// Returns the predictions of each number, of the first few if there are many: predictions \[samples,
    /// numbers\] row by row.
    pub(super) fn all(
        predictions: &[f32],
        targets: &Targets,
        residuals: &[Residuals],
    ) -> Vec<Self> {
        let Targets::Numbers { values, names } = targets else { return Vec::new() };
        let column = |values: &[f32], number: usize| -> Vec<f64> {
            values.iter().skip(number).step_by(names.len()).map(|&value| value.into()).collect()
        };
        let numbered = names.iter().zip(residuals).enumerate().take(SHOWN);
        let fit = numbered.map(|(i, (name, &residuals))| {
            let end = if names.len() == 1 { String::new() } else { format!("-{}", i + 1) };
            Self::of(name, &end, residuals, &column(values, i), &column(predictions, i))
        });
        fit.collect()
    }

    fn of(name: &str, end: &str, residuals: Residuals, is: &[f64], predicted: &[f64]) -> Self {
        let pairs = || is.iter().zip(predicted).map(|(&is, &predicted)| [is, predicted]);
        let range = match residuals.min < residuals.max {
            true => [residuals.min, residuals.max],
            false => [residuals.min - 1.0, residuals.max + 1.0],
        };
        let mut histogram = vec![0; BARS];
        for [is, predicted] in pairs() {
            let place = (predicted - is - range[0]) / (range[1] - range[0]) * BARS as f64;
            histogram[(place as usize).min(BARS - 1)] += 1;
        }
        Self {
            name: name.to_owned(),
            residuals,
            points: pairs().step_by(is.len().div_ceil(DOTS).max(1)).collect(),
            histogram,
            range,
            predicted_plot: format!("predicted{end}"),
            errors_plot: format!("errors{end}"),
        }
    }

    /// Returns whether only some of the samples are in [`points`](Self::points).
    pub(super) fn is_thinned(&self) -> bool {
        (self.points.len() as u64) < self.histogram.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Predictions;

    #[test]
    fn every_error_is_in_the_histogram_and_dots_are_limited() {
        let is: Vec<f32> = (0..2500).map(|i| i as f32).collect();
        let predicted: Vec<f32> = is.iter().map(|x| 1.1 * x).collect();
        let targets = Targets::numbers(is, ["price"]);
        let residuals = Residuals::of(&Predictions::new(&predicted, &targets).unwrap());
        let fit = NumberFit::all(&predicted, &targets, &residuals).remove(0);
        assert_eq!(fit.histogram.iter().sum::<u64>(), 2500);
        assert!(fit.histogram.iter().all(|&count| (60..=62).contains(&count)));
        assert!(fit.points.len() <= DOTS && fit.is_thinned());
    }
}
