//! From the labels in files to classes: their names, and which label is the first.

use std::array;

use super::catalog::DatasetName;

/// The names of the classes of a folder.
pub(super) struct Numbering {
    /// The names, in the order of their labels.
    pub names: Vec<String>,
    /// The label of the first of them: 0, or 1 in data that counts from 1.
    pub first: u8,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// The labels that occur.
pub(super) struct Labels([bool; 256]);

impl Labels {
    pub fn of<'a>(values: impl IntoIterator<Item = &'a u8>) -> Self {
        let mut seen = [false; 256];
        values.into_iter().for_each(|&value| seen[usize::from(value)] = true);
        Self(seen)
    }

    pub fn with(&self, other: &Self) -> Self {
        Self(array::from_fn(|i| self.0[i] || other.0[i]))
    }

    fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    fn has(&self, label: usize) -> bool {
        self.0.get(label).copied().unwrap_or_default()
    }

    fn highest(&self) -> usize {
        self.0.iter().rposition(|&seen| seen).unwrap_or(0)
    }
}

/// The labels of both parts of a data set.
pub(super) struct PartLabels {
    /// Empty if the data has no training part.
    pub train: Labels,
    pub test: Labels,
}

/// Returns the classes of data with these labels: the `given` names, else those of the `known` data set, else
/// the labels themselves. EMNIST's letters are labeled 1 to 26: an output for 0 would never be right.
pub(super) fn number(
    labels: &PartLabels,
    given: Option<Vec<String>>,
    known: Option<DatasetName>,
) -> Numbering {
    let all = labels.train.with(&labels.test);
    let from_1 = !all.has(0);
    match (given, known) {
        (Some(names), _) => {
            let first = u8::from(from_1 && all.highest() == names.len());
            let notes = [
                from_one(first, &names),
                empty_classes(&all, first, names.len(), Some(&names)),
                untrained(labels, first, Some(&names)),
            ];
            Numbering { names, first, notes: notes.into_iter().flatten().collect() }
        }
        (None, Some(known)) => {
            let names = known.entry().classes.iter().map(ToString::to_string).collect();
            Numbering { names, first: 0, notes: Vec::new() }
        }
        (None, None) => {
            let first = u8::from(from_1);
            let names: Vec<String> =
                (usize::from(first)..=all.highest()).map(|label| label.to_string()).collect();
            let empty = empty_classes(&all, first, names.len(), None);
            let notes = empty.into_iter().chain(untrained(labels, first, None)).collect();
            Numbering { names, first, notes }
        }
    }
}

fn from_one(first: u8, names: &[String]) -> Option<String> {
    let note = || {
        format!("the labels run from 1 to {}, so 1 is the first name in classes.txt", names.len())
    };
    (first == 1).then(note)
}

/// Describes the classes without images. Labels without a 0 may count from 1, and lack the last class: the note says
/// that they were read otherwise.
fn empty_classes(
    all: &Labels,
    first: u8,
    count: usize,
    names: Option<&[String]>,
) -> Option<String> {
    let start = usize::from(first);
    let gaps: Vec<usize> = (start..start + count).filter(|&label| !all.has(label)).collect();
    let mut note = format!(
        "no image has label {}: {} a class without images",
        listed(&gaps, first, names)?,
        if gaps.len() == 1 { "it is" } else { "each is" }
    );
    if let (Some(second), true, 0) = (names.and_then(|names| names.get(1)), !all.has(0), first) {
        note += &format!(
            "; labels are read as counted from 0, so 1 is {second}: if these count from 1, subtract 1 from each"
        );
    }
    Some(note)
}

/// Describes the classes of the test images that no training image has. If one part has no 0, the parts may count
/// from different numbers.
fn untrained(
    PartLabels { train, test }: &PartLabels,
    first: u8,
    names: Option<&[String]>,
) -> Option<String> {
    if train.is_empty() {
        return None;
    }
    let found: Vec<usize> = (0..=255).filter(|&i| test.has(i) && !train.has(i)).collect();
    let mut note = format!(
        "no training image has label {}, which test images have: a network cannot learn {}",
        listed(&found, first, names)?,
        if found.len() == 1 { "it" } else { "them" }
    );
    if train.has(0) != test.has(0) {
        note += "; labels of both parts are read as counted from 0: if one part counts from 1, subtract 1 there";
    }
    Some(note)
}

/// Lists labels with the names of their classes; `None` if there are no labels.
fn listed(labels: &[usize], first: u8, names: Option<&[String]>) -> Option<String> {
    const SHOWN: usize = 10;
    if labels.is_empty() {
        return None;
    }
    let name = |&label: &usize| {
        let place = label.checked_sub(usize::from(first));
        let name = names.zip(place).and_then(|(names, place)| names.get(place));
        name.map_or_else(|| label.to_string(), |name| format!("{label} ({name})"))
    };
    let shown = labels.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
    Some(match labels.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(train: &[u8], test: &[u8], names: Option<&str>) -> (u8, Vec<String>) {
        let labels = PartLabels { train: Labels::of(train), test: Labels::of(test) };
        let names = names.map(|names| names.split(' ').map(ToOwned::to_owned).collect());
        let Numbering { first, notes, .. } = number(&labels, names, None);
        (first, notes)
    }

    #[test]
    fn complete_labels_give_no_note() {
        for names in [None, Some("cat dog ox")] {
            assert_eq!(notes(&[0, 1, 2], &[2, 0], names), (0, vec![]));
            assert_eq!(notes(&[], &[0, 1, 2], names), (0, vec![]));
        }
        assert_eq!(notes(&[1, 2, 3], &[1], None), (1, vec![]));
    }

    #[test]
    fn labels_without_0_that_lack_a_class_are_noted_with_their_reading() {
        for train in [&[][..], &[1, 2]] {
            assert_eq!(
                notes(train, &[1, 2], Some("cat dog ox")),
                (
                    0,
                    vec![
                        "no image has label 0 (cat): it is a class without images; labels are read as counted \
                         from 0, so 1 is dog: if these count from 1, subtract 1 from each"
                            .to_owned()
                    ]
                )
            );
        }
        let (first, notes) = notes(&[], &[2, 3], Some("cat dog ox"));
        assert_eq!((first, notes.len()), (1, 2));
        assert_eq!(notes[1], "no image has label 1 (cat): it is a class without images");
    }

    #[test]
    fn test_labels_that_are_never_trained_on_are_noted() {
        let (first, found) = notes(&[1, 2, 3], &[0, 1, 2], None);
        assert_eq!((first, found.len()), (0, 1));
        let (label, reading) = ("no training image has label 0,", "if one part counts from 1");
        assert!(found[0].starts_with(label) && found[0].contains(reading), "{found:?}");
        let (_, found) = notes(&[0, 1], &[0, 2], Some("cat dog ox"));
        assert!(found[0].ends_with("2 (ox), which test images have: a network cannot learn it"));
    }

    #[test]
    fn named_classes_without_images_are_noted() {
        let (_, found) = notes(&[0, 3], &[3], Some("cat dog ox bee"));
        assert_eq!(found, ["no image has label 1 (dog), 2 (ox): each is a class without images"]);
    }
}
