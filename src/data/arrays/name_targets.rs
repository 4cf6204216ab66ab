//! The names of classes, labels and numbers, which arrays do not have.

use super::features_and_targets::Unnamed;
use super::problem::ArraysProblem;
use crate::data::label_numbering::{self, Labels, PartLabels};
use crate::data::targets::{Targets, column_names};

/// Names the targets of both parts alike, and returns notes.
#[expect(clippy::type_complexity, reason = "a pair and notes, used twice")]
pub(super) fn named(
    train: Unnamed,
    test: Option<Unnamed>,
) -> Result<((Targets, Option<Targets>), Vec<String>), ArraysProblem> {
    let (classes, notes) = match &train {
        Unnamed::Classes(labels) => numbered(labels, test.as_ref()),
        _ => Default::default(),
    };
    let name = |targets| match targets {
        Unnamed::Classes(mut labels) => {
            labels.iter_mut().for_each(|label| *label -= classes.first);
            Targets::Classes { classes: labels, names: classes.names.clone() }
        }
        Unnamed::Labels(values, columns) => {
            Targets::Labels { values, names: column_names("label", columns) }
        }
        Unnamed::Numbers(values, columns) => {
            Targets::Numbers { values, names: column_names("target", columns) }
        }
    };
    Ok(((name(train), test.map(name)), notes))
}

#[derive(Default)]
struct Classes {
    names: Vec<String>,
    first: u8,
}

/// Returns the classes of these labels, which are counted from 0 or 1.
fn numbered(train: &[u8], test: Option<&Unnamed>) -> (Classes, Vec<String>) {
    let test_labels = match test {
        Some(Unnamed::Classes(labels)) => &labels[..],
        _ => &[],
    };
    let labels = PartLabels { train: Labels::of(train), test: Labels::of(test_labels) };
    let numbering = label_numbering::number(&labels, None, None);
    let (names, first) = (numbering.names, numbering.first);
    let mut notes = Vec::new();
    let unseen: Vec<&str> = (0usize..)
        .zip(&names)
        .filter(|(class, _)| !train.contains(&(*class as u8 + first)))
        .map(|(_, name)| name.as_str())
        .collect();
    if !unseen.is_empty() {
        notes.push(format!(
            "no training sample has class {}: a network cannot learn what it is not shown",
            unseen.join(", ")
        ));
    }
    (Classes { names, first }, notes)
}
