//! The record of a training for people to read: one row per epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::message_text::four_decimals;

/// The columns of every table.
const COLUMNS: &str =
    "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,samples_per_second";

/// The metrics of one epoch. Losses are in nats; losses and accuracies are means over samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's batches, each measured before its own step.
    pub loss: f64,
    /// Fraction of correct predictions, measured like the loss; none for losses without a right and a wrong. Of
    /// several labels, the fraction of correct labels with a threshold of 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Loss on the validation set after the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Accuracy on the validation set after the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// The [`FitConfig::metrics`](crate::FitConfig::metrics) on the validation set after the epoch, by name
    /// with `val_` before it: "val_f1_macro". One without a value is not there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// The optimizer's learning rate at the epoch's end.
    pub learning_rate: f64,
    /// Wall-clock time of the training batches, without validation, in seconds.
    pub seconds: f64,
    /// Training samples per second.
    pub samples_per_second: f64,
}

impl EpochRecord {
    /// Returns the losses and metrics that the record has, by their names.
    pub fn values(&self) -> impl Iterator<Item = (&str, f64)> {
        let fixed = [
            ("loss", Some(self.loss)),
            ("accuracy", self.accuracy),
            ("val_loss", self.val_loss),
            ("val_accuracy", self.val_accuracy),
        ];
        let fixed = fixed.into_iter().filter_map(|(name, value)| Some((name, value?)));
        fixed.chain(self.metrics.iter().map(|(name, &value)| (name.as_str(), value)))
    }
}

/// One line: "epoch 3  loss 0.1234  accuracy 0.9612  val_loss 0.1402".
impl fmt::Display for EpochRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}", self.epoch)?;
        self.values().try_for_each(|(name, value)| write!(f, "  {name} {}", four_decimals(value)))
    }
}

/// The records of all epochs, like Keras's `History`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// First to last.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// Returns the last epoch's record.
    pub fn last(&self) -> Option<&EpochRecord> {
        self.epochs.last()
    }

    /// Returns the table as CSV, with Keras's names on the first line, and further metrics after the columns
    /// that every table has. Floats are written so that reading them gives the same bits.
    pub fn to_csv(&self) -> String {
        let metrics = self.metrics();
        let header = metrics.iter().fold(COLUMNS.to_owned(), |header, name| header + "," + name);
        let lines = self.epochs.iter().map(|record| Self::csv_line(record, &metrics));
        lines.fold(header + "\n", |csv, line| csv + &line)
    }

    /// Returns the names of the metrics in any of the epochs, in alphabetical order.
    pub(crate) fn metrics(&self) -> BTreeSet<&str> {
        self.epochs.iter().flat_map(|record| record.metrics.keys().map(String::as_str)).collect()
    }

    /// Reads what [`to_csv`](Self::to_csv) writes. A last line without a line end belongs to an epoch
    /// that is being written, and is ignored.
    ///
    /// # Errors
    /// The first line that is not a record, by its number.
    pub fn from_csv(text: &str) -> Result<Self, String> {
        let wrong = || format!("line 1 must be {COLUMNS:?}, and may go on with names of metrics");
        let (header, lines) = text.split_once('\n').ok_or_else(wrong)?;
        let metrics: Vec<&str> = match header.strip_prefix(COLUMNS).ok_or_else(wrong)? {
            "" => Vec::new(),
            names => names.strip_prefix(',').ok_or_else(wrong)?.split(',').collect(),
        };
        let whole = lines.rfind('\n').map_or("", |end| &lines[..end]);
        let record = |(number, line): (usize, &str)| {
            Self::record(line, &metrics).ok_or_else(|| {
                let values = 8 + metrics.len();
                format!("line {number} must be an epoch's {values} values, found {line:?}")
            })
        };
        let epochs = (2..).zip(whole.lines()).map(record).collect::<Result<_, _>>()?;
        Ok(Self { epochs })
    }

    fn record(line: &str, metrics: &[&str]) -> Option<EpochRecord> {
        let mut fields = line.split(',');
        let mut field = || fields.next();
        let epoch = field()?.parse().ok()?;
        let number = |text: &str| text.parse::<f64>().ok();
        let optional = |text: &str| match text {
            "" => Some(None),
            text => number(text).map(Some),
        };
        let mut record = EpochRecord {
            epoch,
            loss: number(field()?)?,
            accuracy: optional(field()?)?,
            val_loss: optional(field()?)?,
            val_accuracy: optional(field()?)?,
            metrics: BTreeMap::new(),
            learning_rate: number(field()?)?,
            seconds: number(field()?)?,
            samples_per_second: number(field()?)?,
        };
        for name in metrics {
            let value = optional(field()?)?;
            record.metrics.extend(value.map(|value| ((*name).to_owned(), value)));
        }
        field().is_none().then_some(record)
    }

    /// Returns a record as a line of [`to_csv`](Self::to_csv) with these metrics.
    pub(crate) fn csv_line(e: &EpochRecord, metrics: &BTreeSet<&str>) -> String {
        let optional = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        let metric = |name: &&str| format!(",{}", optional(e.metrics.get(*name).copied()));
        let metrics: String = metrics.iter().map(metric).collect();
        format!(
            "{},{},{},{},{},{},{},{}{metrics}\n",
            e.epoch,
            e.loss,
            optional(e.accuracy),
            optional(e.val_loss),
            optional(e.val_accuracy),
            e.learning_rate,
            e.seconds,
            e.samples_per_second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_one_line_per_epoch_and_exact_floats() {
        let record = EpochRecord {
            epoch: 1,
            loss: 0.1 + 0.2,
            accuracy: Some(0.5),
            val_loss: None,
            val_accuracy: Some(0.25),
            metrics: BTreeMap::new(),
            learning_rate: 1e-3,
            seconds: 2.0,
            samples_per_second: 100.0,
        };
        let first = EpochRecord {
            metrics: BTreeMap::from([("val_r2".to_owned(), 0.75)]),
            ..record.clone()
        };
        let second = EpochRecord {
            epoch: 2,
            metrics: BTreeMap::from([("val_mae".to_owned(), 2.5)]),
            ..record.clone()
        };
        let measured = History { epochs: vec![first, second] };
        let csv = measured.to_csv();
        assert!(csv.contains("samples_per_second,val_mae,val_r2\n"), "{csv}");
        assert!(csv.contains("100,,0.75\n2,") && csv.ends_with("100,2.5,\n"), "{csv}");
        assert_eq!(History::from_csv(&csv).as_ref(), Ok(&measured));
        let unclassified =
            History { epochs: vec![EpochRecord { accuracy: None, ..record.clone() }] };
        assert_eq!(History::from_csv(&unclassified.to_csv()).as_ref(), Ok(&unclassified));
        let history = History { epochs: vec![record] };
        let csv = history.to_csv();
        assert_eq!(csv.lines().count(), 2);
        assert!(csv.ends_with("1,0.30000000000000004,0.5,,0.25,0.001,2,100\n"), "{csv}");
        assert_eq!(History::from_csv(&csv).as_ref(), Ok(&history));
        // Half a line at the end is not an epoch yet; half a line in the middle is an error.
        assert_eq!(History::from_csv(&format!("{csv}2,0.1")).as_ref(), Ok(&history));
        let torn = History::from_csv(&format!("{csv}2,0.1\n"));
        assert!(torn.is_err_and(|error| error.starts_with("line 3 must be")));
        assert!(History::from_csv("epoch,loss\n").is_err());
        let empty = History::default();
        assert_eq!(History::from_csv(&empty.to_csv()), Ok(empty));
    }
}
