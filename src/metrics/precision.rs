//! How many of the predictions of a class are right.

use super::class_counts::{self, Average, Counts};
use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The fraction of the samples predicted as a class that belong to it, averaged over the classes or
/// labels (`precision_score` with `zero_division=0`). A label is predicted at a
/// threshold of 0.5.
#[derive(Debug)]
pub struct Precision(pub Average);

impl MetricKind for Precision {
    fn name(&self) -> String {
        match self.0 {
            Average::Macro => "precision_macro".to_owned(),
            Average::Weighted => "precision_weighted".to_owned(),
        }
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class, TargetKind::Labels]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        class_counts::average(predictions, self.0, Counts::precision)
    }
}
