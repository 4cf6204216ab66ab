//! The median absolute error.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The median over the samples of the absolute difference of prediction and target, in the targets' unit, which a few
/// samples far off do not change (`median_absolute_error`); of an even number of samples the mean of the two in the middle,
/// and of several numbers the mean over them.
#[derive(Debug)]
pub struct MedianAbsoluteError;

impl MetricKind for MedianAbsoluteError {
    fn name(&self) -> String {
        "median_absolute_error".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Lower
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Numbers]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let (samples, outputs) = (predictions.samples(), predictions.outputs());
        let errors: Vec<f64> = predictions.errors().map(f64::abs).collect();
        let median = |output: usize| {
            let mut column: Vec<f64> =
                errors.iter().skip(output).step_by(outputs).copied().collect();
            column.sort_unstable_by(f64::total_cmp);
            (column[(samples - 1) / 2] + column[samples / 2]) / 2.0
        };
        Ok((0..outputs).map(median).sum::<f64>() / outputs as f64)
    }
}
