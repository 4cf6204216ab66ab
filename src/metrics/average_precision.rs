//! The area under the precision-recall curve.

use super::metric_kind::{Direction, MetricKind};
use super::one_vs_rest::{self, Ranking, Ties};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// Σ (Rₙ − Rₙ₋₁) · Pₙ over the thresholds, with precision P and recall R (`average_precision_score`). The mean
/// over the labels, or over the classes, each against all others (`average="macro"`); of two classes that of
/// the second.
#[derive(Debug)]
pub struct AveragePrecision;

impl MetricKind for AveragePrecision {
    fn name(&self) -> String {
        "average_precision".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class, TargetKind::Labels]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        one_vs_rest::mean(predictions, area)
    }
}

fn area(ranking: &Ranking) -> f64 {
    let (mut found, mut seen, mut area) = (0.0, 0.0, 0.0);
    for Ties { positive, negative } in ranking.groups() {
        found += positive;
        seen += positive + negative;
        area += positive * found / seen;
    }
    area / ranking.totals().positive
}
