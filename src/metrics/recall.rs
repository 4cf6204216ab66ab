//! How many of the samples of a class are found.

use super::class_counts::{self, Average, Counts};
use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The fraction of the samples of a class that are predicted as it, averaged over the classes or
/// labels (`recall_score` with `zero_division=0`). A label is predicted at a
/// threshold of 0.5.
#[derive(Debug)]
pub struct Recall(pub Average);

impl MetricKind for Recall {
    fn name(&self) -> String {
        match self.0 {
            Average::Macro => "recall_macro".to_owned(),
            Average::Weighted => "recall_weighted".to_owned(),
        }
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class, TargetKind::Labels]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        class_counts::average(predictions, self.0, Counts::recall)
    }
}
