//! How far confidence and accuracy are apart.

use super::calibration::Calibration;
use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The [`expected_error`](Calibration::expected_error) of Guo and others (2017) over 15 ranges of confidence of
/// equal width, as the report shows it.
#[derive(Debug)]
pub struct ExpectedCalibrationError;

impl MetricKind for ExpectedCalibrationError {
    fn name(&self) -> String {
        "expected_calibration_error".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Lower
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let mut calibration = Calibration::default();
        for (row, class) in predictions.rows().zip(predictions.classes()) {
            let probabilities: Vec<f64> = row.iter().map(|&p| p.into()).collect();
            calibration.add(&probabilities, class);
        }
        Ok(calibration.expected_error())
    }
}
