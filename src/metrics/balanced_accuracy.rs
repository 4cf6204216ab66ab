//! Accuracy in which every class counts the same.

use super::class_counts::Counts;
use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The mean recall of the classes that occur in the targets (`balanced_accuracy_score`).
#[derive(Debug)]
pub struct BalancedAccuracy;

impl MetricKind for BalancedAccuracy {
    fn name(&self) -> String {
        "balanced_accuracy".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let mut counts = Counts::of(predictions);
        counts.retain(|counts| counts.support > 0);
        Ok(counts.iter().map(Counts::recall).sum::<f64>() / counts.len() as f64)
    }
}
