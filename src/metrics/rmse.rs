//! The root mean squared error.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The square root of the mean squared difference of prediction and target, in the targets' unit
/// (`root_mean_squared_error`); of several numbers the mean of each one's.
#[derive(Debug)]
pub struct Rmse;

impl MetricKind for Rmse {
    fn name(&self) -> String {
        "rmse".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Lower
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Numbers]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let errors: Vec<f64> = predictions.errors().collect();
        let outputs = predictions.outputs();
        let root = |output: usize| {
            let squares = errors.iter().skip(output).step_by(outputs).map(|error| error * error);
            (squares.sum::<f64>() / predictions.samples() as f64).sqrt()
        };
        Ok((0..outputs).map(root).sum::<f64>() / outputs as f64)
    }
}
