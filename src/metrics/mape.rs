//! The mean absolute percentage error.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::{TargetKind, Targets};

/// The mean absolute difference of prediction and target as a fraction of the target, |ŷ − y| / |y|
/// (`mean_absolute_percentage_error`): 0.1 is 10 %; of several numbers the mean over them. A target of 0 has no such
/// fraction, and scikit-learn divides by 2.2e-16 there.
#[derive(Debug)]
pub struct Mape;

impl MetricKind for Mape {
    fn name(&self) -> String {
        "mape".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Lower
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Numbers]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let Targets::Numbers { values, .. } = predictions.targets() else {
            return Err(Undefined("it is for numbers".to_owned()));
        };
        if values.contains(&0.0) {
            return Err(Undefined("a target is 0".to_owned()));
        }
        let fractions = predictions.errors().zip(values).map(|(e, &y)| (e / f64::from(y)).abs());
        Ok(fractions.sum::<f64>() / values.len() as f64)
    }
}
