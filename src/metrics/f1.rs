//! The harmonic mean of precision and recall.

use super::class_counts::{self, Average, Counts};
use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The harmonic mean of precision and recall of a class, averaged over the classes or
/// labels (`f1_score` with `zero_division=0`). A label is predicted at a
/// threshold of 0.5.
#[derive(Debug)]
pub struct F1(pub Average);

impl MetricKind for F1 {
    fn name(&self) -> String {
        match self.0 {
            Average::Macro => "f1_macro".to_owned(),
            Average::Weighted => "f1_weighted".to_owned(),
        }
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class, TargetKind::Labels]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        class_counts::average(predictions, self.0, Counts::f1)
    }
}
