//! Metrics: what predictions are measured by, besides the loss. One file per metric, one line in the list below.
//!
//! The definitions are scikit-learn's; each says its function. Where that returns a value by convention, warns or
//! fails because the samples do not determine the metric, it has no value here, and a reason: [`Undefined`].
//! Samples all count the same, as in Keras's `metrics`: weights are for the loss.

mod accuracy;
mod average_precision;
mod balanced_accuracy;
mod calibration;
mod class_counts;
mod cohen_kappa;
mod expected_calibration_error;
mod f1;
mod log_loss;
mod mae;
mod mape;
mod matthews_corrcoef;
mod median_absolute_error;
mod metric_kind;
mod one_vs_rest;
mod precision;
mod predictions;
mod r2;
mod recall;
mod rmse;
mod roc_auc;
mod subset_accuracy;
#[cfg(test)]
mod tests;
mod top_k_accuracy;
mod undefined;

#[cfg(any(feature = "report", feature = "serve"))]
pub(crate) use calibration::likeliest;
pub use calibration::{BINS, Bin, Calibration};
pub use class_counts::{Average, Counts};
pub use metric_kind::{Direction, MetricKind};
pub use predictions::Predictions;
pub use top_k_accuracy::TopKAccuracy;
pub use undefined::Undefined;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::data::TargetKind;
use crate::message_text::did_you_mean;

/// Makes the list of metrics: a name, the metric, and its description.
macro_rules! metrics {
    ($($name:ident = $kind:expr, $about:literal;)*) => {
        /// A metric, written as its name.
        ///
        /// ```
        /// use seqfit::Metric;
        ///
        /// assert_eq!("f1_macro".parse(), Ok(Metric::F1Macro));
        /// assert_eq!(Metric::F1Macro.to_string(), "f1_macro");
        /// let error = "f1".parse::<Metric>().unwrap_err().to_string();
        /// assert!(error.contains("found \"f1\""), "{error}");
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Metric {
            $(#[doc = $about] $name,)*
            /// One that is defined outside of this crate.
            Custom(Arc<dyn MetricKind>),
        }

        impl Metric {
            /// All metrics of this crate.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            fn kind(&self) -> &dyn MetricKind {
                match self {
                    $(Self::$name => &$kind,)*
                    Self::Custom(kind) => &**kind,
                }
            }
        }
    };
}

metrics! {
    Accuracy = accuracy::Accuracy, "`accuracy`: the fraction of classes or labels predicted correctly.";
    BalancedAccuracy = balanced_accuracy::BalancedAccuracy, "`balanced_accuracy`: the mean recall of the classes.";
    MatthewsCorrcoef = matthews_corrcoef::MatthewsCorrcoef, "`matthews_corrcoef`: the correlation of predicted and true classes.";
    CohenKappa = cohen_kappa::CohenKappa, "`cohen_kappa`: the agreement of predicted and true classes beyond chance.";
    SubsetAccuracy = subset_accuracy::SubsetAccuracy, "`subset_accuracy`: the fraction of samples with all labels correct.";
    Top3Accuracy = TopKAccuracy(3), "`top_3_accuracy`: the fraction of classes among the 3 likeliest.";
    Top5Accuracy = TopKAccuracy(5), "`top_5_accuracy`: the fraction of classes among the 5 likeliest.";
    PrecisionMacro = precision::Precision(Average::Macro), "`precision_macro`: the mean precision of classes or labels.";
    PrecisionWeighted = precision::Precision(Average::Weighted), "`precision_weighted`: the same, weighted by samples.";
    RecallMacro = recall::Recall(Average::Macro), "`recall_macro`: the mean recall of classes or labels.";
    RecallWeighted = recall::Recall(Average::Weighted), "`recall_weighted`: the same, weighted by samples.";
    F1Macro = f1::F1(Average::Macro), "`f1_macro`: the mean F1 score of classes or labels.";
    F1Weighted = f1::F1(Average::Weighted), "`f1_weighted`: the same, weighted by samples.";
    RocAuc = roc_auc::RocAuc, "`roc_auc`: the area under the ROC curve.";
    AveragePrecision = average_precision::AveragePrecision, "`average_precision`: the area under the precision-recall curve.";
    LogLoss = log_loss::LogLoss, "`log_loss`: the cross-entropy of classes or labels, in nats.";
    ExpectedCalibrationError = expected_calibration_error::ExpectedCalibrationError, "`expected_calibration_error`: confidence compared with accuracy.";
    Mae = mae::Mae, "`mae`: the mean absolute error of numbers.";
    MedianAbsoluteError = median_absolute_error::MedianAbsoluteError, "`median_absolute_error`: the median absolute error of numbers.";
    Mape = mape::Mape, "`mape`: the mean absolute error as a fraction of the number.";
    Rmse = rmse::Rmse, "`rmse`: the root mean squared error of numbers.";
    R2 = r2::R2, "`r2`: the fraction of the numbers' variance that is explained.";
}

/// Keras's and scikit-learn's names for the same definition, and the metric's name: a person may use either.
const ALIASES: [(&str, &str); 4] = [
    ("acc", "accuracy"),
    ("mean_absolute_error", "mae"),
    ("root_mean_squared_error", "rmse"),
    ("r2_score", "r2"),
];

/// A metric that cannot be computed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// No metric has this name.
    #[error("the metrics are {}, found {found:?}: {}", names(), cure(.found))]
    Unknown {
        /// The name.
        found: String,
    },
    /// The metric is for other targets.
    #[error(
        "{metric} is for {}, and the targets are {found}: take one of {}",
        of_all(.targets),
        for_kind(*.found)
    )]
    Targets {
        /// The metric's name.
        metric: String,
        /// The kinds of targets that it is for.
        targets: Vec<TargetKind>,
        /// The kind of the targets at hand.
        found: TargetKind,
    },
    /// A user's own metric has a name that cannot stand in tables.
    #[error("a metric's name must have only small letters, digits and underscores, found {0:?}")]
    Name(String),
    /// There are metrics and no validation set.
    #[error(
        "metrics are computed on the validation set, and there is none for {0}: set a validation split, or leave \
         the metrics out"
    )]
    NotValidated(String),
    /// A metric is listed twice.
    #[error("each metric is listed once, found {0} twice: leave one out")]
    Twice(String),
}

fn names() -> String {
    Metric::ALL.iter().map(Metric::name).collect::<Vec<_>>().join(", ")
}

fn cure(found: &str) -> String {
    let names: Vec<String> = Metric::ALL.iter().map(Metric::name).collect();
    let own = names.iter().map(|name| (name.as_str(), name.as_str()));
    did_you_mean(found, own.chain(ALIASES))
}

fn of_all(kinds: &[TargetKind]) -> String {
    kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn for_kind(kind: TargetKind) -> String {
    let fit = Metric::ALL.iter().filter(|metric| metric.kind().targets().contains(&kind));
    fit.map(Metric::name).collect::<Vec<_>>().join(", ")
}

impl Metric {
    /// Returns a metric that is defined outside of this crate.
    pub fn custom(kind: impl MetricKind + 'static) -> Self {
        Self::Custom(Arc::new(kind))
    }

    /// Returns the metrics that networks for such targets are usually reported with, besides the accuracy.
    pub fn usual(targets: TargetKind) -> Vec<Self> {
        match targets {
            TargetKind::Class => Vec::new(),
            TargetKind::Labels => vec![Self::F1Macro, Self::RocAuc],
            TargetKind::Numbers => vec![Self::Rmse, Self::Mae, Self::R2],
        }
    }

    /// Returns its name: "f1_macro".
    pub fn name(&self) -> String {
        self.kind().name()
    }

    /// Returns the metric of this name in a file, which may be one that only the program that wrote it has.
    pub(crate) fn named(name: &str) -> Self {
        Self::own(name).unwrap_or_else(|| Self::custom(Elsewhere(name.to_owned())))
    }

    /// Returns this crate's metric of this name.
    fn own(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|metric| metric.name() == name).cloned()
    }

    /// Returns which of its values are better.
    pub fn direction(&self) -> Direction {
        self.kind().direction()
    }

    /// Returns its value.
    ///
    /// # Errors
    /// The reason that it has no value for these samples.
    pub fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        self.check_for(predictions.kind()).map_err(|error| Undefined(error.to_string()))?;
        let value = self.kind().value(predictions)?;
        match value.is_finite() {
            true => Ok(value),
            false => Err(Undefined(format!("it must be finite, found {value}"))),
        }
    }

    /// Checks that it is for targets of this kind.
    ///
    /// # Errors
    /// [`MetricError::Targets`]; a name from a file that no metric has.
    pub fn check_for(&self, found: TargetKind) -> Result<(), MetricError> {
        let targets = self.kind().targets();
        if targets.is_empty() {
            return Err(MetricError::Unknown { found: self.name() });
        }
        if targets.contains(&found) {
            return Ok(());
        }
        Err(MetricError::Targets { metric: self.name(), targets: targets.to_vec(), found })
    }

    /// Checks the names of metrics that are computed together.
    ///
    /// # Errors
    /// The first that is listed twice, or that cannot stand in tables.
    pub fn check_all(metrics: &[Self]) -> Result<(), MetricError> {
        for (i, metric) in metrics.iter().enumerate() {
            let name = metric.name();
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(is_plain) {
                return Err(MetricError::Name(name));
            }
            if metrics[..i].contains(metric) {
                return Err(MetricError::Twice(name));
            }
        }
        Ok(())
    }
}

/// A metric that a file names and that is not known here: the program that wrote it has its own.
#[derive(Debug)]
struct Elsewhere(String);

impl MetricKind for Elsewhere {
    fn name(&self) -> String {
        self.0.clone()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[]
    }

    fn value(&self, _: &Predictions) -> Result<f64, Undefined> {
        Err(Undefined("only the program that trained the network defines it".to_owned()))
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        // In lists, a space may follow a comma.
        let text = text.trim();
        let own = ALIASES.iter().find(|(alias, _)| *alias == text).map_or(text, |(_, own)| own);
        Self::own(own).ok_or_else(|| MetricError::Unknown { found: text.to_owned() })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// Accepts every name, so that a run with a user's own metric can be read; training and evaluation refuse one
/// that is not known.
impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::named(&String::deserialize(deserializer)?))
    }
}
