//! Binary problems within several classes or labels, for metrics of how scores rank the samples.

use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// Scores in order with whether each sample is positive, equal scores together.
pub struct Ranking(Vec<(f32, bool)>);

/// Samples with equal scores.
pub struct Ties {
    pub positive: f64,
    pub negative: f64,
}

impl Ranking {
    /// Returns the groups of samples with equal scores, from the highest score to the lowest.
    pub fn groups(&self) -> impl Iterator<Item = Ties> {
        self.0.chunk_by(|a, b| a.0 == b.0).map(|group| {
            let positive = group.iter().filter(|(_, positive)| *positive).count();
            Ties { positive: positive as f64, negative: (group.len() - positive) as f64 }
        })
    }

    /// Returns the numbers of positive and of negative samples.
    pub fn totals(&self) -> Ties {
        let positive = self.0.iter().filter(|(_, positive)| *positive).count();
        Ties { positive: positive as f64, negative: (self.0.len() - positive) as f64 }
    }
}

/// Returns the mean of `value` over the labels, or over the classes, each against all others; of two classes
/// that of the second.
///
/// # Errors
/// A class or label without positive samples, or without negative ones: scikit-learn has no value or only a
/// conventional one there.
pub fn mean(predictions: &Predictions, value: fn(&Ranking) -> f64) -> Result<f64, Undefined> {
    let outputs = predictions.outputs();
    let columns = match (predictions.kind(), outputs) {
        (TargetKind::Class, 2) => 1..2,
        _ => 0..outputs,
    };
    let count = columns.len() as f64;
    let values = columns.map(|column| Ok(value(&ranking(predictions, column)?)));
    Ok(values.sum::<Result<f64, Undefined>>()? / count)
}

fn ranking(predictions: &Predictions, column: usize) -> Result<Ranking, Undefined> {
    let is_positive: Vec<bool> = match predictions.kind() {
        TargetKind::Class => predictions.classes().map(|class| class == column).collect(),
        _ => predictions.labels().skip(column).step_by(predictions.outputs()).collect(),
    };
    let mut scores: Vec<_> = predictions.column(column).zip(is_positive).collect();
    scores.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let ranking = Ranking(scores);
    let Ties { positive, negative } = ranking.totals();
    if positive > 0.0 && negative > 0.0 {
        return Ok(ranking);
    }
    let count = if positive > 0.0 { "every" } else { "no" };
    let what = if predictions.kind().is_class() { "class" } else { "label" };
    let name = &predictions.targets().names()[column];
    Err(Undefined(format!("{count} sample is of {what} {name:?}")))
}
