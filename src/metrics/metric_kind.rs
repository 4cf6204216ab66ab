//! The trait of metrics, which each of them implements.

use std::fmt;

use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// A metric: one number that says how well predictions match their targets.
///
/// It is computed on the host from all predictions at once, so it need not be a mean over batches.
///
/// ```
/// use seqfit::data::{TargetKind, Targets};
/// use seqfit::metrics::{Direction, Metric, MetricKind, Predictions, Undefined};
///
/// /// The largest error of any number, in its unit (scikit-learn's `max_error`).
/// #[derive(Debug)]
/// struct MaxError;
///
/// impl MetricKind for MaxError {
///     fn name(&self) -> String {
///         "max_error".to_owned()
///     }
///
///     fn direction(&self) -> Direction {
///         Direction::Lower
///     }
///
///     fn targets(&self) -> &[TargetKind] {
///         &[TargetKind::Numbers]
///     }
///
///     fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
///         Ok(predictions.errors().map(f64::abs).fold(0.0, f64::max))
///     }
/// }
///
/// let metric = Metric::custom(MaxError);
/// let targets = Targets::numbers([1.0, 2.0], ["price"]);
/// let predictions = Predictions::new(&[1.5, 1.75], &targets).unwrap();
/// assert_eq!(metric.value(&predictions), Ok(0.5));
/// ```
pub trait MetricKind: fmt::Debug + Send + Sync {
    /// Returns its name of small letters, digits and underscores: "f1_macro".
    fn name(&self) -> String;

    /// Returns which values are better.
    fn direction(&self) -> Direction;

    /// Returns the kinds of targets that it is for.
    fn targets(&self) -> &[TargetKind];

    /// Returns its value. The predictions are finite, there is at least one sample, and the targets are of
    /// a kind in [`targets`](Self::targets).
    ///
    /// # Errors
    /// The reason that it has no value for these samples.
    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined>;
}

/// Which values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Higher values, as of an accuracy.
    Higher,
    /// Lower values, as of an error.
    Lower,
}

impl Direction {
    /// Returns whether `value` is better than `best` by more than `min_delta`. Any value is better than
    /// none, and NaN is never better.
    pub fn improves(self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        match (self, best) {
            (_, None) => !value.is_nan(),
            (Self::Lower, Some(best)) => value < best - min_delta,
            (Self::Higher, Some(best)) => value > best + min_delta,
        }
    }
}
