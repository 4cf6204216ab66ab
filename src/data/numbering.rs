//! From the labels in files to classes: their names, and which label is the first.

use std::array;

use super::catalog::DatasetName;

/// The names of the classes of a folder.
pub(super) struct Numbering {
    /// The names, in the order of their labels.
    pub names: Vec<String>,
    /// The label of the first of them: 0, or 1 in data that counts from 1.
    pub first: u8,
    /// A note for the user.
    pub note: Option<String>,
}

/// The labels that occur.
pub(super) struct Labels([bool; 256]);

impl Labels {
    pub fn of<'a>(values: impl IntoIterator<Item = &'a u8>) -> Self {
        let mut seen = [false; 256];
        values.into_iter().for_each(|&value| seen[usize::from(value)] = true);
        Self(seen)
    }

    pub fn with(self, other: &Self) -> Self {
        Self(array::from_fn(|i| self.0[i] || other.0[i]))
    }

    fn highest(&self) -> usize {
        self.0.iter().rposition(|&seen| seen).unwrap_or(0)
    }

    /// Returns the labels up to the highest that do not occur.
    fn gaps(&self, first: usize) -> Vec<usize> {
        (first..self.highest()).filter(|&label| !self.0[label]).collect()
    }
}

/// Returns the classes of data with these labels: the `given` names, else those of the `known` data set, else
/// the labels themselves. EMNIST's letters are labeled 1 to 26: an output for 0 would never be right.
pub(super) fn number(
    labels: &Labels,
    given: Option<Vec<String>>,
    known: Option<DatasetName>,
) -> Numbering {
    let from_1 = !labels.0[0];
    match (given, known) {
        (Some(names), _) if from_1 && labels.highest() == names.len() => {
            let note = format!(
                "the labels run from 1 to {}, so 1 is the first name in classes.txt",
                names.len()
            );
            Numbering { names, first: 1, note: Some(note) }
        }
        (Some(names), _) => Numbering { names, first: 0, note: None },
        (None, Some(known)) => {
            let names = known.entry().classes.iter().map(ToString::to_string).collect();
            Numbering { names, first: 0, note: None }
        }
        (None, None) => {
            let first = usize::from(from_1);
            let names = (first..=labels.highest()).map(|label| label.to_string()).collect();
            Numbering { names, first: first as u8, note: empty_classes(&labels.gaps(first)) }
        }
    }
}

fn empty_classes(gaps: &[usize]) -> Option<String> {
    const SHOWN: usize = 10;
    if gaps.is_empty() {
        return None;
    }
    let shown: Vec<String> = gaps.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match gaps.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "no image has label {}{more}: {} a class without images",
        shown.join(", "),
        if gaps.len() == 1 { "it is" } else { "each is" }
    ))
}
