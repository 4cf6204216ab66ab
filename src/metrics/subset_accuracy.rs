//! The fraction of samples with all labels correct.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The fraction of the samples all of whose labels are predicted correctly, at a threshold of 0.5
/// (`accuracy_score` of several labels).
#[derive(Debug)]
pub struct SubsetAccuracy;

impl MetricKind for SubsetAccuracy {
    fn name(&self) -> String {
        "subset_accuracy".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Labels]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let pairs = predictions.labels().zip(predictions.predicted_labels());
        let right: Vec<bool> = pairs.map(|(label, predicted)| label == predicted).collect();
        let samples = right.chunks_exact(predictions.outputs());
        let right = samples.filter(|labels| labels.iter().all(|&right| right)).count();
        Ok(right as f64 / predictions.samples() as f64)
    }
}
