//! The quantities of an epoch that callbacks monitor, by Keras's names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::callback::Plan;
use super::history::EpochRecord;
use crate::data::TargetKind;
use crate::message_text::similar;
use crate::metrics::{Direction, Metric};

/// The prefix of quantities of the validation set.
pub(super) const VALIDATION: &str = "val_";

/// A quantity of an epoch, written as its name.
#[derive(Clone, Debug, PartialEq)]
pub enum Monitor {
    /// `loss`: the mean training loss.
    Loss,
    /// `accuracy`: the training accuracy.
    Accuracy,
    /// `val_loss`: the loss on the validation set.
    ValLoss,
    /// `val_accuracy`: the accuracy on the validation set.
    ValAccuracy,
    /// `val_f1_macro`: one of [`FitConfig::metrics`](crate::FitConfig::metrics) on the validation set.
    Validation(Metric),
}

/// A quantity that cannot be monitored.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// Nothing has this name.
    #[error(
        "the metrics are loss, accuracy, val_loss, val_accuracy, and val_ with a name of --metrics such as \
         val_f1_macro, found {0:?}: {cure}",
        cure = cure(.0)
    )]
    Unknown(String),
    /// A quantity of the validation set where there is none.
    #[error(
        "{0} needs a validation set, and there is none: set a validation split, or watch {without}",
        without = .0.without_validation()
    )]
    NotValidated(Monitor),
    /// A metric that is not computed.
    #[error("{name} is not computed: add {metric} to the metrics, or watch val_loss", name = .0, metric = .0.metric())]
    NotComputed(Monitor),
    /// An accuracy of targets that are not correct or wrong.
    #[error("{0} is for classes and labels, and the targets are numbers: watch loss or val_loss")]
    Numbers(Monitor),
}

fn cure(found: &str) -> String {
    let names: Vec<String> = Monitor::all().map(|monitor| monitor.name()).collect();
    match similar(found, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean {name}?"),
        None => "take one of these".to_owned(),
    }
}

impl Monitor {
    /// Those that need no metrics of the config.
    const ALWAYS: [Self; 4] = [Self::Loss, Self::Accuracy, Self::ValLoss, Self::ValAccuracy];

    fn all() -> impl Iterator<Item = Self> {
        // The accuracy is always computed.
        let metrics = Metric::ALL.iter().filter(|metric| **metric != Metric::Accuracy);
        Self::ALWAYS.into_iter().chain(metrics.cloned().map(Self::Validation))
    }

    /// Returns its name: "val_loss".
    pub fn name(&self) -> String {
        match self {
            Self::Loss => "loss".to_owned(),
            Self::Accuracy => "accuracy".to_owned(),
            Self::ValLoss => "val_loss".to_owned(),
            Self::ValAccuracy => "val_accuracy".to_owned(),
            Self::Validation(metric) => format!("{VALIDATION}{metric}"),
        }
    }

    /// Returns its value in `record`; `None` if it has none there.
    pub fn of(&self, record: &EpochRecord) -> Option<f64> {
        match self {
            Self::Loss => Some(record.loss),
            Self::Accuracy => record.accuracy,
            Self::ValLoss => record.val_loss,
            Self::ValAccuracy => record.val_accuracy,
            Self::Validation(_) => record.metrics.get(&self.name()).copied(),
        }
    }

    /// Returns which of its values are better: lower losses, higher accuracies, and as a metric says.
    pub fn direction(&self) -> Direction {
        match self {
            Self::Loss | Self::ValLoss => Direction::Lower,
            Self::Accuracy | Self::ValAccuracy => Direction::Higher,
            Self::Validation(metric) => metric.direction(),
        }
    }

    /// Returns whether `value` is better than `best` by more than `min_delta`. Any finite value is better than
    /// none, and NaN is never better.
    pub fn improves(&self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        self.direction().improves(value, best, min_delta)
    }

    /// Checks that it can be monitored in a training with `validation_samples` samples for validation that
    /// computes `metrics`.
    ///
    /// # Errors
    /// [`MonitorError::NotValidated`] or [`MonitorError::NotComputed`].
    pub fn check(&self, validation_samples: usize, metrics: &[Metric]) -> Result<(), MonitorError> {
        let validates = !matches!(self, Self::Loss | Self::Accuracy);
        match self {
            _ if validates && validation_samples == 0 => {
                Err(MonitorError::NotValidated(self.clone()))
            }
            Self::Validation(metric) if !metrics.contains(metric) => {
                Err(MonitorError::NotComputed(self.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Checks that it can be monitored in a training on targets of this kind.
    ///
    /// # Errors
    /// [`MonitorError::Numbers`].
    pub fn check_for(&self, targets: TargetKind) -> Result<(), MonitorError> {
        match self {
            Self::Accuracy | Self::ValAccuracy if targets == TargetKind::Numbers => {
                Err(MonitorError::Numbers(self.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Returns it for a training with this plan, with the plan's own definition of a metric: one that was
    /// read from a file has only the name of a user's metric.
    ///
    /// # Errors
    /// Those of [`check`](Self::check) and [`check_for`](Self::check_for).
    pub(crate) fn in_plan(&self, plan: &Plan) -> Result<Self, MonitorError> {
        self.check(plan.validation_samples, &plan.metrics)?;
        self.check_for(plan.targets)?;
        Ok(match self {
            Self::Validation(named) => {
                let own = plan.metrics.iter().find(|metric| *metric == named);
                Self::Validation(own.unwrap_or(named).clone())
            }
            other => other.clone(),
        })
    }

    fn metric(&self) -> String {
        match self {
            Self::Validation(metric) => metric.name(),
            other => other.name(),
        }
    }

    fn without_validation(&self) -> Self {
        match self.direction() {
            _ if matches!(self, Self::Validation(_)) => Self::Loss,
            Direction::Lower => Self::Loss,
            Direction::Higher => Self::Accuracy,
        }
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl FromStr for Monitor {
    type Err = MonitorError;

    fn from_str(text: &str) -> Result<Self, MonitorError> {
        let known = Self::all().find(|monitor| monitor.name() == text);
        known.ok_or_else(|| MonitorError::Unknown(text.to_owned()))
    }
}

impl Serialize for Monitor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// Accepts the name of every metric of the validation set, like [`Metric`] does.
impl<'de> Deserialize<'de> for Monitor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let error = match name.parse() {
            Ok(known) => return Ok(known),
            Err(error) => error,
        };
        let metric =
            name.strip_prefix(VALIDATION).ok_or_else(|| serde::de::Error::custom(error))?;
        Ok(Self::Validation(Metric::named(metric)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_refused() {
        for monitor in Monitor::all() {
            assert_eq!(monitor.to_string().parse().as_ref(), Ok(&monitor));
            let json = serde_json::to_string(&monitor).unwrap();
            assert_eq!(json, format!("{:?}", monitor.name()));
            assert_eq!(serde_json::from_str::<Monitor>(&json).unwrap(), monitor);
        }
        let error = "val_f1_marco".parse::<Monitor>().unwrap_err().to_string();
        assert!(error.ends_with("found \"val_f1_marco\": did you mean val_f1_macro?"), "{error}");
        let own: Monitor = serde_json::from_str("\"val_max_error\"").unwrap();
        assert_eq!(own.name(), "val_max_error");
        assert!(serde_json::from_str::<Monitor>("\"max_error\"").is_err());
    }

    #[test]
    fn an_unavailable_quantity_is_refused() {
        let error = Monitor::ValLoss.check(0, &[]).unwrap_err().to_string();
        assert!(error.starts_with("val_loss needs a validation set"), "{error}");
        assert!(error.ends_with("or watch loss"), "{error}");
        assert_eq!((Monitor::ValLoss.check(1, &[]), Monitor::Loss.check(0, &[])), (Ok(()), Ok(())));
        let f1 = Monitor::Validation(Metric::F1Macro);
        assert_eq!(f1.check(1, &[Metric::R2, Metric::F1Macro]), Ok(()));
        let error = f1.check(1, &[Metric::R2]).unwrap_err().to_string();
        assert!(error.starts_with("val_f1_macro is not computed: add f1_macro"), "{error}");
        assert_eq!(f1.check(0, &[]), Err(MonitorError::NotValidated(f1)));
    }

    #[test]
    fn better_is_lower_for_losses_and_higher_for_accuracies() {
        use Monitor::{Accuracy, Loss, Validation};
        assert!(Loss.improves(0.5, Some(0.6), 0.0) && !Loss.improves(0.6, Some(0.6), 0.0));
        assert!(Accuracy.improves(0.6, Some(0.5), 0.0) && !Accuracy.improves(0.5, Some(0.5), 0.0));
        assert!(Validation(Metric::Rmse).improves(0.5, Some(0.6), 0.0));
        assert!(Validation(Metric::RocAuc).improves(0.6, Some(0.5), 0.0));
    }
}
