//! The fraction of samples whose class is among the likeliest.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The fraction of the samples whose class is among the k with the highest probability
/// (`top_k_accuracy_score`). Of equal probabilities that of the later class comes first, as in scikit-learn.
#[derive(Debug)]
pub struct TopKAccuracy(
    /// k, at least 1.
    pub usize,
);

impl MetricKind for TopKAccuracy {
    fn name(&self) -> String {
        format!("top_{}_accuracy", self.0)
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let (k, classes) = (self.0, predictions.outputs());
        if k >= classes {
            return Err(Undefined(format!("it is always 1 with {classes} classes")));
        }
        let is_hit = |(row, class): &(&[f32], usize)| {
            let before =
                |(i, &p): (usize, &f32)| p > row[*class] || (p == row[*class] && i > *class);
            row.iter().enumerate().filter(|&entry| before(entry)).count() < k
        };
        let hits = predictions.rows().zip(predictions.classes()).filter(is_hit).count();
        Ok(hits as f64 / predictions.samples() as f64)
    }
}
