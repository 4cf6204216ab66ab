//! What metrics are computed from: predictions and targets on the host.

use super::undefined::Undefined;
use crate::data::{TargetKind, Targets};

/// A network's predictions of some samples, and their targets.
#[derive(Clone, Copy, Debug)]
pub struct Predictions<'a> {
    values: &'a [f32],
    targets: &'a Targets,
}

impl<'a> Predictions<'a> {
    /// The probability above which a label counts as predicted.
    pub const THRESHOLD: f32 = 0.5;

    /// Returns the predictions of the samples in `targets`: \[samples, outputs\] row by row, with one output
    /// for each name of the targets. They are the probabilities of the classes, the probability of each
    /// label, or numbers.
    ///
    /// # Errors
    /// No sample, another number of values, or one that is not finite: then no metric has a value.
    pub fn new(values: &'a [f32], targets: &'a Targets) -> Result<Self, Undefined> {
        let (samples, outputs) = (targets.len(), targets.names().len());
        if values.is_empty() {
            return Err(Undefined("there are no samples".to_owned()));
        }
        if values.len() != samples * outputs {
            let found = values.len();
            return Err(Undefined(format!(
                "{samples} samples with {outputs} outputs need {} values, found {found}",
                samples * outputs
            )));
        }
        match values.iter().find(|value| !value.is_finite()) {
            Some(found) => Err(Undefined(format!("predictions must be finite, found {found}"))),
            None => Ok(Self { values, targets }),
        }
    }

    /// Returns the targets.
    pub fn targets(&self) -> &'a Targets {
        self.targets
    }

    /// Returns the kind of the targets.
    pub fn kind(&self) -> TargetKind {
        self.targets.kind()
    }

    /// Returns the number of samples.
    pub fn samples(&self) -> usize {
        self.targets.len()
    }

    /// Returns the number of outputs.
    pub fn outputs(&self) -> usize {
        self.targets.names().len()
    }

    /// Returns the outputs of each sample.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.outputs())
    }

    /// Returns an output's value for each sample.
    pub fn column(&self, output: usize) -> impl Iterator<Item = f32> {
        self.values.iter().skip(output).step_by(self.outputs()).copied()
    }

    /// Returns the true class of each sample; nothing for other targets.
    pub fn classes(&self) -> impl Iterator<Item = usize> {
        let classes: &[u8] = match self.targets {
            Targets::Classes { classes: labels, .. } => labels,
            _ => &[],
        };
        classes.iter().map(|&class| class.into())
    }

    /// Returns whether each label is set, \[samples, labels\] row by row; nothing for other targets.
    pub fn labels(&self) -> impl Iterator<Item = bool> {
        let labels: &[u8] = match self.targets {
            Targets::Labels { values, .. } => values,
            _ => &[],
        };
        labels.iter().map(|&label| label == 1)
    }

    /// Returns whether each label is predicted, its probability above [`THRESHOLD`](Self::THRESHOLD),
    /// \[samples, labels\] row by row.
    pub fn predicted_labels(&self) -> impl Iterator<Item = bool> {
        self.values.iter().map(|&probability| probability > Self::THRESHOLD)
    }

    /// Returns prediction minus target of each number, \[samples, numbers\] row by row; nothing for other
    /// targets.
    pub fn errors(&self) -> impl Iterator<Item = f64> {
        let numbers: &[f32] = match self.targets {
            Targets::Numbers { values, .. } => values,
            _ => &[],
        };
        self.values.iter().zip(numbers).map(|(&a, &b)| f64::from(a) - f64::from(b))
    }

    /// Returns the predicted class of each sample: the first of the largest values.
    pub fn predicted_classes(&self) -> impl Iterator<Item = usize> {
        self.rows().map(largest)
    }
}

/// Returns the index of the largest value, the first one if there are several.
fn largest(row: &[f32]) -> usize {
    let larger = |best: usize, i: usize| if row[i] > row[best] { i } else { best };
    (0..row.len()).reduce(larger).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_that_do_not_match_the_targets_are_refused() {
        let targets = Targets::numbers([1.0, 2.0], ["a"]);
        let error = |values: &[f32]| Predictions::new(values, &targets).unwrap_err().to_string();
        assert_eq!(error(&[]), "there are no samples");
        assert_eq!(error(&[1.0]), "2 samples with 1 outputs need 2 values, found 1");
        assert_eq!(error(&[1.0, f32::NAN]), "predictions must be finite, found NaN");
        assert!(Predictions::new(&[1.0, 2.0], &targets).is_ok());
    }

    #[test]
    fn rows_and_columns_are_those_of_the_outputs() {
        let targets = Targets::classes([1, 0], ["a", "b", "c"]);
        let predictions = Predictions::new(&[0.2, 0.4, 0.4, 0.5, 0.3, 0.2], &targets).unwrap();
        assert_eq!(predictions.column(1).collect::<Vec<_>>(), [0.4, 0.3]);
        assert_eq!(predictions.predicted_classes().collect::<Vec<_>>(), [1, 0]);
        assert_eq!(predictions.classes().collect::<Vec<_>>(), [1, 0]);
    }
}
