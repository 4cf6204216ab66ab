//! The targets of samples: a class, several labels, or numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a data set's targets, which decides the losses and metrics that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// One class of several for each sample, stored as its index. IDX files and PyTorch call that index a label; here
    /// labels are the next kind. As a tensor: i64 \[batch\].
    #[default]
    Class,
    /// Any number of labels at once for each sample, each with yes or no (scikit-learn: multilabel); not one-hot classes.
    /// As a tensor: 0 or 1, f32 \[batch, labels\].
    Labels,
    /// Numbers, for regression. As a tensor: f32 \[batch, numbers\].
    Numbers,
}

impl TargetKind {
    /// The names by which the kinds are saved and typed.
    pub const NAMES: [&str; 3] = ["class", "labels", "numbers"];

    /// Returns whether this is the default, which is not saved.
    pub fn is_class(&self) -> bool {
        *self == Self::Class
    }

    /// Returns a number of such targets in words: "10 classes", "1 label", "3 numbers".
    pub fn counted(self, count: usize) -> String {
        let (one, many) = match self {
            Self::Class => ("class", "classes"),
            Self::Labels => ("label", "labels"),
            Self::Numbers => ("number", "numbers"),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Class => "classes",
            Self::Labels => "several labels",
            Self::Numbers => "numbers",
        })
    }
}

/// The targets of a data set, one row for each sample.
///
/// ```
/// use seqfit::data::Targets;
///
/// let price = Targets::numbers([4.5, 3.6, 3.5], ["price"]); // three samples
/// let genres = Targets::labels([1, 0, 1, 1], ["comedy", "drama"]); // two samples
/// let animals = Targets::classes([0, 1, 1], ["cat", "dog"]); // three samples
/// # let _ = (price, genres, animals);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class of several for each sample.
    Classes {
        /// Indices into the names.
        classes: Vec<u8>,
        /// The names of the classes.
        names: Vec<String>,
    },
    /// Any number of labels for each sample.
    Labels {
        /// 0 or 1, \[samples, labels\] row by row.
        values: Vec<u8>,
        /// The names of the labels.
        names: Vec<String>,
    },
    /// Numbers for each sample.
    Numbers {
        /// \[samples, numbers\] row by row.
        values: Vec<f32>,
        /// The names of the numbers.
        names: Vec<String>,
    },
}

/// The target of one sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target<'a> {
    /// The class.
    Class(u8),
    /// For each label 0 or 1.
    Labels(&'a [u8]),
    /// The numbers.
    Numbers(&'a [f32]),
}

impl Targets {
    /// Returns targets of one class for each sample, an index into `names`.
    pub fn classes(
        classes: impl Into<Vec<u8>>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::Classes { classes: classes.into(), names: strings(names) }
    }

    /// Returns targets of several labels: for each sample one value per name, 0 or 1.
    pub fn labels(
        values: impl Into<Vec<u8>>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::Labels { values: values.into(), names: strings(names) }
    }

    /// Returns targets of numbers: for each sample one value per name.
    pub fn numbers(
        values: impl Into<Vec<f32>>,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::Numbers { values: values.into(), names: strings(names) }
    }

    /// Returns the kind.
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Classes { .. } => TargetKind::Class,
            Self::Labels { .. } => TargetKind::Labels,
            Self::Numbers { .. } => TargetKind::Numbers,
        }
    }

    /// Returns the names of the classes, labels or numbers: one for each output of a network.
    pub fn names(&self) -> &[String] {
        let (Self::Classes { names, .. }
        | Self::Labels { names, .. }
        | Self::Numbers { names, .. }) = self;
        names
    }

    /// Returns the number of samples; of values that do not fill whole rows, that of the whole rows.
    pub fn len(&self) -> usize {
        let rows = |values: usize, names: &[String]| values / names.len().max(1);
        match self {
            Self::Classes { classes: labels, .. } => labels.len(),
            Self::Labels { values, names } => rows(values.len(), names),
            Self::Numbers { values, names } => rows(values.len(), names),
        }
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the target of sample `i`.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len).
    pub fn get(&self, i: usize) -> Target<'_> {
        match self {
            Self::Classes { classes: labels, .. } => Target::Class(labels[i]),
            Self::Labels { values, names } => Target::Labels(row(values, names.len(), i)),
            Self::Numbers { values, names } => Target::Numbers(row(values, names.len(), i)),
        }
    }
}

/// Returns names for columns that have none.
pub(super) fn column_names(what: &str, columns: usize) -> Vec<String> {
    match columns {
        1 => vec![what.to_owned()],
        _ => (0..columns).map(|column| format!("{what}_{column}")).collect(),
    }
}

fn row<T>(values: &[T], width: usize, i: usize) -> &[T] {
    &values[i * width..(i + 1) * width]
}

fn strings(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_wide_as_there_are_names() {
        let numbers = Targets::numbers([1.0, 2.0, 3.0, 4.0], ["a", "b"]);
        assert_eq!((numbers.len(), numbers.kind()), (2, TargetKind::Numbers));
        assert_eq!(numbers.get(1), Target::Numbers(&[3.0, 4.0]));
        let labels = Targets::labels([1, 0, 0, 1, 1, 1], ["a", "b", "c"]);
        assert_eq!((labels.len(), labels.get(1)), (2, Target::Labels(&[1, 1, 1])));
        let classes = Targets::classes([1, 0], ["a", "b"]);
        assert_eq!((classes.len(), classes.get(0)), (2, Target::Class(1)));
        assert_eq!(Targets::numbers([1.0], [""; 0]).len(), 1);
    }

    #[test]
    fn kinds_are_saved_by_name() {
        let saved = serde_json::to_string(&TargetKind::Labels).unwrap();
        assert_eq!(saved, "\"labels\"");
        assert!(TargetKind::default().is_class());
    }
}
