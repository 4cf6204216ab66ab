//! The metrics of an epoch that callbacks monitor, by Keras's names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::history::EpochRecord;

/// A metric of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// `loss`: the mean training loss.
    Loss,
    /// `accuracy`: the training accuracy.
    Accuracy,
    /// `val_loss`: the loss on the validation set.
    ValLoss,
    /// `val_accuracy`: the accuracy on the validation set.
    ValAccuracy,
}

/// A metric that cannot be monitored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// No metric has this name.
    #[error(
        "the metrics are loss, accuracy, val_loss and val_accuracy, found {0:?}: take one of these"
    )]
    Unknown(String),
    /// A metric of the validation set where there is none.
    #[error(
        "{0} needs a validation set, and there is none: set a validation split, or watch {without}",
        without = .0.without_validation()
    )]
    NotValidated(Metric),
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 4] = [Self::Loss, Self::Accuracy, Self::ValLoss, Self::ValAccuracy];

    /// Returns Keras's name: "val_loss".
    pub fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Accuracy => "accuracy",
            Self::ValLoss => "val_loss",
            Self::ValAccuracy => "val_accuracy",
        }
    }

    /// Returns whether it is a metric of the validation set.
    fn needs_validation(self) -> bool {
        matches!(self, Self::ValLoss | Self::ValAccuracy)
    }

    /// Returns its value in `record`, `None` for a metric of the validation set where there is none.
    pub fn of(self, record: &EpochRecord) -> Option<f64> {
        match self {
            Self::Loss => Some(record.loss),
            Self::Accuracy => record.accuracy,
            Self::ValLoss => record.val_loss,
            Self::ValAccuracy => record.val_accuracy,
        }
    }

    /// Returns whether `value` is better than `best` by more than `min_delta`: losses fall, accuracies
    /// rise. Any finite value is better than none, and NaN is never better.
    pub fn improves(self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        match (self, best) {
            (_, None) => !value.is_nan(),
            (Self::Loss | Self::ValLoss, Some(best)) => value < best - min_delta,
            (Self::Accuracy | Self::ValAccuracy, Some(best)) => value > best + min_delta,
        }
    }

    /// Checks that it can be monitored in a training with `validation_samples` samples for validation.
    ///
    /// # Errors
    /// [`MetricError::NotValidated`].
    pub fn check(self, validation_samples: usize) -> Result<(), MetricError> {
        if self.needs_validation() && validation_samples == 0 {
            return Err(MetricError::NotValidated(self));
        }
        Ok(())
    }

    fn without_validation(self) -> Self {
        match self {
            Self::Loss | Self::ValLoss => Self::Loss,
            Self::Accuracy | Self::ValAccuracy => Self::Accuracy,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let known = Self::ALL.into_iter().find(|metric| metric.name() == text);
        known.ok_or_else(|| MetricError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_refused() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
            assert_eq!(serde_json::to_string(&metric).unwrap(), format!("{:?}", metric.name()));
        }
        let error = "val_acc".parse::<Metric>().unwrap_err().to_string();
        assert!(error.contains("val_accuracy, found \"val_acc\""), "{error}");
        let error = Metric::ValLoss.check(0).unwrap_err().to_string();
        assert!(error.starts_with("val_loss needs a validation set"), "{error}");
        assert!(error.ends_with("or watch loss"), "{error}");
        assert_eq!((Metric::ValLoss.check(1), Metric::Loss.check(0)), (Ok(()), Ok(())));
    }

    #[test]
    fn better_is_lower_for_losses_and_higher_for_accuracies() {
        use Metric::{Accuracy, Loss};
        assert!(Loss.improves(0.5, Some(0.6), 0.0) && !Loss.improves(0.6, Some(0.6), 0.0));
        assert!(Accuracy.improves(0.6, Some(0.5), 0.0) && !Accuracy.improves(0.5, Some(0.5), 0.0));
        assert!(!Loss.improves(0.55, Some(0.6), 0.1) && Loss.improves(0.45, Some(0.6), 0.1));
        assert!(Loss.improves(9.0, None, 0.1) && !Loss.improves(f64::NAN, None, 0.0));
        assert!(!Loss.improves(f64::NAN, Some(1.0), 0.0));
    }
}
