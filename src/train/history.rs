//! The record of a training for people to read: one row per epoch.

use serde::{Deserialize, Serialize};

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
    /// The optimizer's learning rate at the epoch's end.
    pub learning_rate: f64,
    /// Wall-clock time of the training batches, without validation, in seconds.
    pub seconds: f64,
    /// Training samples per second.
    pub samples_per_second: f64,
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

    /// Returns the table as CSV, with Keras's names on the first line. Floats are written so that reading
    /// them gives the same bits.
    pub fn to_csv(&self) -> String {
        let header =
            "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,samples_per_second\n";
        self.epochs.iter().map(Self::csv_line).fold(header.to_owned(), |csv, line| csv + &line)
    }

    /// Reads what [`to_csv`](Self::to_csv) writes. A last line without a line end belongs to an epoch
    /// that is being written, and is ignored.
    ///
    /// # Errors
    /// The first line that is not a record, by its number.
    pub fn from_csv(text: &str) -> Result<Self, String> {
        let header = Self::default().to_csv();
        let Some(lines) = text.strip_prefix(&header) else {
            return Err(format!("line 1 must be {:?}", header.trim_end()));
        };
        let whole = lines.rfind('\n').map_or("", |end| &lines[..end]);
        let record = |(number, line): (usize, &str)| {
            Self::record(line).ok_or_else(|| {
                format!("line {number} must be an epoch's eight values, found {line:?}")
            })
        };
        let epochs = (2..).zip(whole.lines()).map(record).collect::<Result<_, _>>()?;
        Ok(Self { epochs })
    }

    fn record(line: &str) -> Option<EpochRecord> {
        let mut fields = line.split(',');
        let mut field = || fields.next();
        let epoch = field()?.parse().ok()?;
        let number = |text: &str| text.parse::<f64>().ok();
        let optional = |text: &str| match text {
            "" => Some(None),
            text => number(text).map(Some),
        };
        let record = EpochRecord {
            epoch,
            loss: number(field()?)?,
            accuracy: optional(field()?)?,
            val_loss: optional(field()?)?,
            val_accuracy: optional(field()?)?,
            learning_rate: number(field()?)?,
            seconds: number(field()?)?,
            samples_per_second: number(field()?)?,
        };
        fields.next().is_none().then_some(record)
    }

    /// Returns a record as a line of [`to_csv`](Self::to_csv).
    pub(crate) fn csv_line(e: &EpochRecord) -> String {
        let optional = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
        format!(
            "{},{},{},{},{},{},{},{}\n",
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
            learning_rate: 1e-3,
            seconds: 2.0,
            samples_per_second: 100.0,
        };
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
