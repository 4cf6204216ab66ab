//! Correct predictions, predictions and samples of each class or label: what precision, recall and F1 are
//! computed from.

use serde::{Deserialize, Serialize};

use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// How the values of several classes or labels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// The mean over the classes that occur in the targets or the predictions, or over all labels.
    Macro,
    /// The mean weighted by the number of samples of each class or label.
    Weighted,
}

/// The counts of one class or label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Samples of it that are predicted as it.
    pub correct: u64,
    /// Samples that are predicted as it.
    pub predicted: u64,
    /// Samples of it.
    pub support: u64,
}

impl Counts {
    /// Returns the counts of each class or label.
    pub fn of(predictions: &Predictions) -> Vec<Self> {
        let mut counts = vec![Self::default(); predictions.outputs()];
        match predictions.kind() {
            TargetKind::Class => {
                for (class, predicted) in predictions.classes().zip(predictions.predicted_classes())
                {
                    counts[class].support += 1;
                    counts[predicted].predicted += 1;
                    counts[class].correct += u64::from(class == predicted);
                }
            }
            _ => {
                let labels = predictions.labels().zip(predictions.predicted_labels());
                for (i, (label, predicted)) in labels.enumerate() {
                    let counts = &mut counts[i % predictions.outputs()];
                    counts.support += u64::from(label);
                    counts.predicted += u64::from(predicted);
                    counts.correct += u64::from(label && predicted);
                }
            }
        }
        counts
    }

    /// Returns the fraction of the samples predicted as this class that belong to it, 0 if there are none.
    pub fn precision(&self) -> f64 {
        self.fraction(self.predicted)
    }

    /// Returns the fraction of the samples of this class that are predicted as it, 0 if there are none.
    pub fn recall(&self) -> f64 {
        self.fraction(self.support)
    }

    /// Returns the harmonic mean of precision and recall, 0 if both are.
    pub fn f1(&self) -> f64 {
        2.0 * self.fraction(self.predicted + self.support)
    }

    fn fraction(&self, of: u64) -> f64 {
        if of == 0 { 0.0 } else { self.correct as f64 / of as f64 }
    }
}

/// Returns the average of a value over the classes or labels.
pub fn average(
    predictions: &Predictions,
    average: Average,
    value: fn(&Counts) -> f64,
) -> Result<f64, Undefined> {
    let counts = Counts::of(predictions);
    let weight = |counts: &Counts| match (average, predictions.kind()) {
        (Average::Weighted, _) => counts.support as f64,
        (Average::Macro, TargetKind::Class) => f64::from(counts.predicted + counts.support > 0),
        (Average::Macro, _) => 1.0,
    };
    let weights: f64 = counts.iter().map(weight).sum();
    match weights > 0.0 {
        true => Ok(counts.iter().map(|c| weight(c) * value(c)).sum::<f64>() / weights),
        false => Err(Undefined("no sample has any of the labels".to_owned())),
    }
}
