//! The fraction of correct predictions.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The fraction of the samples whose class has the highest probability (`accuracy_score`). Of several labels
/// the fraction of all labels that are predicted correctly, at a threshold of 0.5 (1 − `hamming_loss`).
#[derive(Debug)]
pub struct Accuracy;

impl MetricKind for Accuracy {
    fn name(&self) -> String {
        "accuracy".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class, TargetKind::Labels]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let right = match predictions.kind() {
            TargetKind::Class => {
                let pairs = predictions.classes().zip(predictions.predicted_classes());
                pairs.filter(|(class, predicted)| class == predicted).count()
                    * predictions.outputs()
            }
            _ => {
                let pairs = predictions.labels().zip(predictions.predicted_labels());
                pairs.filter(|(label, predicted)| label == predicted).count()
            }
        };
        Ok(right as f64 / (predictions.samples() * predictions.outputs()) as f64)
    }
}
