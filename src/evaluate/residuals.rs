//! The errors of predicted numbers: their mean, spread and range.

use serde::{Deserialize, Serialize};

use crate::metrics::Predictions;

/// The errors of a number over a dataset, prediction minus target, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residuals {
    /// Their mean, above 0 where predictions are too high.
    pub mean: f64,
    /// Their standard deviation around the mean.
    pub standard_deviation: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// The mean absolute error.
    pub mae: f64,
    /// The root mean squared error.
    pub rmse: f64,
}

impl Residuals {
    /// Returns the errors of each number.
    pub(crate) fn of(predictions: &Predictions) -> Vec<Self> {
        let (samples, outputs) = (predictions.samples() as f64, predictions.outputs());
        let errors: Vec<f64> = predictions.errors().collect();
        let of_number = |number: usize| {
            let errors = || errors.iter().skip(number).step_by(outputs).copied();
            let mean_of = |of: fn(f64) -> f64| errors().map(of).sum::<f64>() / samples;
            let mean = mean_of(|error| error);
            let variance = errors().map(|error| (error - mean).powi(2)).sum::<f64>() / samples;
            Self {
                mean,
                standard_deviation: variance.sqrt(),
                min: errors().fold(f64::INFINITY, f64::min),
                max: errors().fold(f64::NEG_INFINITY, f64::max),
                mae: mean_of(f64::abs),
                rmse: mean_of(|error| error * error).sqrt(),
            }
        };
        (0..outputs).map(of_number).collect()
    }
}
