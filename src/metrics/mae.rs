//! The mean absolute error.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The mean absolute difference of prediction and target, in the targets' unit (`mean_absolute_error`); of
/// several numbers the mean over them.
#[derive(Debug)]
pub struct Mae;

impl MetricKind for Mae {
    fn name(&self) -> String {
        "mae".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Lower
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Numbers]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let sum: f64 = predictions.errors().map(f64::abs).sum();
        Ok(sum / (predictions.samples() * predictions.outputs()) as f64)
    }
}
