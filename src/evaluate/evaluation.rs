//! The result of an evaluation: loss, accuracy, confusion matrix, metrics, and metrics of each class.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::residuals::Residuals;
use crate::data::TargetKind;
use crate::message_text::{counted, four_decimals};
use crate::metrics::{Counts, Metric, Predictions, Undefined};

/// Loss and metrics over a whole dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean loss: the cross-entropy in nats, or that of the loss that was asked for.
    pub loss: f64,
    /// Fraction of samples whose true class has the highest logit; of several labels, the fraction of correct
    /// labels at a threshold of 0.5; none for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Number of samples.
    pub samples: usize,
    /// Counts by true class (row) and predicted class (column); empty for other targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// The metrics that were asked for, except for the accuracy and those without a value, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// The reasons that metrics have no value, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undefined: BTreeMap<String, String>,
    /// The counts of each label at a threshold of 0.5; empty for other targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Counts>,
    /// The errors of each number; empty for other targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residuals: Vec<Residuals>,
}

/// The summary of an [`Evaluation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean loss.
    pub loss: f64,
    /// Fraction of correct predictions; none for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Number of samples.
    pub samples: usize,
    /// Further metrics, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

impl From<&Evaluation> for Figures {
    fn from(evaluation: &Evaluation) -> Self {
        let Evaluation { loss, accuracy, samples, metrics, .. } = evaluation;
        Self { loss: *loss, accuracy: *accuracy, samples: *samples, metrics: metrics.clone() }
    }
}

impl Figures {
    /// Returns loss, accuracy and metrics as text, with a word for the samples: "loss 0.0812, accuracy 97.60 % of
    /// 10000 images, f1_macro 0.9751".
    pub fn describe(&self, samples: &str) -> String {
        let Self { loss, accuracy, samples: count, metrics } = self;
        let accuracy = accuracy.map(|fraction| format!(", accuracy {:.2} %", 100.0 * fraction));
        let (loss, accuracy) = (four_decimals(*loss), accuracy.unwrap_or_default());
        let samples = counted(*count, samples.trim_end_matches('s'));
        let mut text = format!("loss {loss}{accuracy} of {samples}");
        for (name, &value) in metrics {
            text += &format!(", {name} {}", four_decimals(value));
        }
        text
    }
}

/// Writes what [`describe`](Figures::describe) returns, of "samples".
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe("samples"))
    }
}

/// Classification metrics of one class. A metric whose denominator is 0 is 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// The fraction of the samples predicted as this class that belong to it.
    pub precision: f64,
    /// The fraction of the samples of this class that are predicted as it.
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// Number of samples of this class.
    pub support: u64,
}

impl Evaluation {
    /// Returns precision, recall and F1 of each class or label, in their order; nothing for numbers.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        let counts = (0..self.confusion.len()).map(|class| Counts {
            correct: self.confusion[class][class],
            predicted: self.confusion.iter().map(|row| row[class]).sum(),
            support: self.confusion[class].iter().sum(),
        });
        let figures = |counts: Counts| {
            let (precision, recall) = (counts.precision(), counts.recall());
            let sum = precision + recall;
            let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
            ClassFigures { precision, recall, f1, support: counts.support }
        };
        counts.chain(self.labels.iter().copied()).map(figures).collect()
    }

    /// Adds the metrics, and the tables of labels or numbers, that need all predictions.
    pub(super) fn add(&mut self, predictions: &Predictions, metrics: &[Metric]) {
        match predictions.kind() {
            TargetKind::Class if self.confusion.is_empty() => {
                self.confusion = vec![vec![0; predictions.outputs()]; predictions.outputs()];
                for (class, predicted) in predictions.classes().zip(predictions.predicted_classes())
                {
                    self.confusion[class][predicted] += 1;
                }
            }
            TargetKind::Class => {}
            TargetKind::Labels => self.labels = Counts::of(predictions),
            TargetKind::Numbers => self.residuals = Residuals::of(predictions),
        }
        if self.accuracy.is_none() {
            self.accuracy = Metric::Accuracy.value(predictions).ok();
        }
        for metric in metrics.iter().filter(|metric| **metric != Metric::Accuracy) {
            self.keep(metric, metric.value(predictions));
        }
    }

    pub(super) fn keep(&mut self, metric: &Metric, value: Result<f64, Undefined>) {
        match value {
            Ok(value) => drop(self.metrics.insert(metric.name(), value)),
            Err(why) => drop(self.undefined.insert(metric.name(), why.to_string())),
        }
    }
}

/// Writes what [`Figures`] writes.
impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Figures::from(self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scikit-learn's precision_recall_fscore_support on y_true = [0,0,0,1,1,2],
    /// y_pred = [0,0,1,1,0,0] with zero_division=0.
    #[test]
    fn class_figures_match_scikit_learn() {
        let evaluation = Evaluation {
            loss: 0.0,
            accuracy: Some(0.5),
            samples: 6,
            confusion: vec![vec![2, 1, 0], vec![1, 1, 0], vec![1, 0, 0]],
            metrics: BTreeMap::new(),
            undefined: BTreeMap::new(),
            labels: Vec::new(),
            residuals: Vec::new(),
        };
        let expected = [(0.5, 2.0 / 3.0, 4.0 / 7.0, 3), (0.5, 0.5, 0.5, 2), (0.0, 0.0, 0.0, 1)];
        for (got, (precision, recall, f1, support)) in evaluation.per_class().iter().zip(expected) {
            assert!((got.precision - precision).abs() < 1e-12, "{got:?}");
            assert!((got.recall - recall).abs() < 1e-12, "{got:?}");
            assert!((got.f1 - f1).abs() < 1e-12, "{got:?}");
            assert_eq!(got.support, support);
        }
    }
}
