//! The area under the ROC curve.

use super::metric_kind::{Direction, MetricKind};
use super::one_vs_rest::{self, Ranking, Ties};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The area under the curve of true by false positive rate: the probability that a positive sample has a
/// higher score than a negative one, ties counted half (`roc_auc_score`). The mean over the labels, or over
/// the classes, each against all others (`multi_class="ovr"`, `average="macro"`); of two classes that of the
/// second.
#[derive(Debug)]
pub struct RocAuc;

impl MetricKind for RocAuc {
    fn name(&self) -> String {
        "roc_auc".to_owned()
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
    let (mut above, mut area) = (0.0, 0.0);
    for Ties { positive, negative } in ranking.groups() {
        area += negative * (above + positive / 2.0);
        above += positive;
    }
    let Ties { positive, negative } = ranking.totals();
    area / (positive * negative)
}
