//! Cross-entropy of the predicted probabilities.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The mean negative logarithm of the true class's probability, in nats (`log_loss`); of several labels the
/// mean over the labels. Probabilities are first clipped to [ε, 1 − ε] with the ε of f32, as in scikit-learn, but the
/// logarithms are in f64.
#[derive(Debug)]
pub struct LogLoss;

impl MetricKind for LogLoss {
    fn name(&self) -> String {
        "log_loss".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Lower
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class, TargetKind::Labels]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let surprise = |p: f64| -p.clamp(f32::EPSILON.into(), (1.0 - f32::EPSILON).into()).ln();
        Ok(match predictions.kind() {
            TargetKind::Class => {
                let pairs = predictions.rows().zip(predictions.classes());
                let sum: f64 = pairs.map(|(row, class)| surprise(row[class].into())).sum();
                sum / predictions.samples() as f64
            }
            _ => {
                let pairs = predictions.rows().flatten().zip(predictions.labels());
                let of_label = |(&p, is_set): (&f32, bool)| {
                    surprise(if is_set { p.into() } else { 1.0 - f64::from(p) })
                };
                let sum: f64 = pairs.map(of_label).sum();
                sum / (predictions.samples() * predictions.outputs()) as f64
            }
        })
    }
}
