//! Matching two lists of classes: those that a network predicts, and those of other data.

use super::catalog::DatasetName;
use super::class_names;
pub use super::class_problem::ClassProblem;
use super::class_problem::list;
use super::dataset::Dataset;
use super::error::DataError;
use super::source::{Loaded, LoadedTest, Source};
use super::targets::column_names;

/// Names of classes, and whether they were chosen by a person.
#[derive(Clone, Copy, Debug)]
pub struct ClassNames<'a> {
    names: &'a [String],
    /// The names are just the labels: nothing says what these mean.
    numbered: bool,
}

impl<'a> ClassNames<'a> {
    /// Returns the class names of data from `source`, `None` if its origin is not known. Consecutive numbers do
    /// not count as names, unless they are those of a known data set of digits.
    pub fn new(names: &'a [String], source: Option<&Source>) -> Self {
        let known = source.is_some_and(|source| source.name.parse::<DatasetName>().is_ok());
        Self { names, numbered: !known && first_number(names).is_some() }
    }

    /// Returns whether they are consecutive numbers in place of names.
    pub fn is_numbered(self) -> bool {
        self.numbered
    }
}

/// Returns the first of names that are consecutive numbers, 0 or 1.
fn first_number(names: &[String]) -> Option<usize> {
    let first = names.first()?.parse::<usize>().ok().filter(|first| *first <= 1)?;
    let consecutive = (first..).zip(names).all(|(number, name)| *name == number.to_string());
    consecutive.then_some(first)
}

/// Maps each class of a data set to an output of a network: by name, in any order; by position where
/// one of the two has no names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMapping {
    /// The output of each class of the data. Classes without images may have none, and are stored as 0.
    outputs: Vec<u8>,
    /// The network's classes.
    classes: Vec<String>,
    note: Option<String>,
}

impl ClassMapping {
    /// Matches the classes of `data`, which has `counts` images of each, with the `network`'s.
    ///
    /// # Errors
    /// Images of classes that the network does not know.
    pub fn new(
        network: ClassNames<'_>,
        data: ClassNames<'_>,
        counts: &[usize],
    ) -> Result<Self, ClassProblem> {
        // Numbers that one side gives as names are names, if the other side has the same.
        let named = network.numbered == data.numbered
            || data.names.iter().all(|name| position(network.names, name).is_some());
        let matched = match named {
            _ if network.names == data.names => Some(Self::by_place(network, data, None)),
            true => None,
            false => Some(Self::unnamed(network, data)?),
        };
        matched.map_or_else(|| Self::by_name(network.names, data.names, counts), Ok)
    }

    fn by_name(
        network: &[String],
        data: &[String],
        counts: &[usize],
    ) -> Result<Self, ClassProblem> {
        let outputs: Vec<Option<usize>> = data.iter().map(|name| position(network, name)).collect();
        let has_images = |i: &usize| counts.get(*i).is_none_or(|&count| count > 0);
        let unknown = (0..data.len()).filter(|&i| outputs[i].is_none());
        // A class that is named and never occurs does no harm.
        let (missing, empty): (Vec<_>, Vec<_>) = unknown.partition(has_images);
        let common = outputs.iter().any(Option::is_some);
        if !missing.is_empty() || !common {
            let unknown = if missing.is_empty() { empty } else { missing };
            return Err(ClassProblem::Unknown {
                unknown: unknown.iter().map(|&i| data[i].clone()).collect(),
                common,
                network: network.to_vec(),
                data: data.to_vec(),
            });
        }
        let note = format!(
            "the classes of this data ({}) are matched by name with the network's ({})",
            list(data),
            list(network)
        );
        let outputs = outputs.into_iter().map(|output| output.unwrap_or_default() as u8).collect();
        Ok(Self { outputs, classes: network.to_vec(), note: Some(note) })
    }

    /// Matches unnamed labels with names.
    fn unnamed(network: ClassNames<'_>, data: ClassNames<'_>) -> Result<Self, ClassProblem> {
        let fewer = data.names.len() < network.names.len();
        // Labels from 0 may lack the last ones; of labels from 1 the first may be missing as well.
        let fits = data.names.len() == network.names.len()
            || data.numbered && fewer && first_number(data.names) == Some(0);
        if !fits {
            let [network, data] = [network.names.to_vec(), data.names.to_vec()];
            return Err(ClassProblem::Count { network, data });
        }
        let (who, names) = match data.numbered {
            true => ("this data does not name its classes", network.names),
            false => ("the network's classes have no names", data.names),
        };
        let note = format!("{who}: they are matched by their place, {}", list(names));
        Ok(Self::by_place(network, data, Some(note)))
    }

    fn by_place(network: ClassNames<'_>, data: ClassNames<'_>, note: Option<String>) -> Self {
        let outputs = (0..=u8::MAX).take(data.names.len()).collect();
        Self { outputs, classes: network.names.to_vec(), note }
    }

    /// Returns a note on how they were matched; none if both lists are the same.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Returns the data set with the network's classes: its labels are indices into them.
    pub fn apply(&self, data: &Dataset) -> Dataset {
        data.relabeled(&self.outputs, self.classes.clone())
    }
}

/// Returns the index of a name, or else of the only one that looks the same.
fn position(names: &[String], name: &str) -> Option<usize> {
    let key = class_names::key(name);
    let mut alike = (0..names.len()).filter(|&i| class_names::key(&names[i]) == key);
    let exact = names.iter().position(|other| other == name);
    exact.or_else(|| alike.next().filter(|_| alike.next().is_none()))
}

/// Checks that the labels or numbers of data are a network's, in its order. Where one of the two does not name them, they
/// are matched by place, which the note says.
fn same_columns(network: &[String], data: &Dataset) -> Result<Option<String>, ClassProblem> {
    let (kind, names) = (data.target_kind(), data.target_names());
    let named = |names: &[String]| {
        let usual = ["label", "target"].map(|what| column_names(what, names.len()));
        usual.iter().all(|usual| usual != names)
    };
    match (names == network, named(network), named(names)) {
        (true, ..) | (_, false, _) => Ok(None),
        (false, true, false) => Ok((names.len() == network.len()).then(|| {
            let unnamed = kind.counted(names.len());
            let places = list(network);
            format!(
                "this data does not name its {unnamed}: they are matched by their place, {places}"
            )
        })),
        (false, true, true) => {
            Err(ClassProblem::Columns { network: network.to_vec(), data: names.to_vec() })
        }
    }
}

impl Loaded {
    /// Returns the data with the classes of a network that will process it, and a note if they differ.
    ///
    /// Labels and numbers stay as they are.
    ///
    /// # Errors
    /// Images of classes that the network does not know; labels or numbers of other names, or in another order.
    pub fn for_network(self, network: ClassNames<'_>) -> Result<Self, DataError> {
        let Self { train, test, mut source, mut notes } = self;
        if !train.target_kind().is_class() {
            notes.extend(same_columns(network.names, &train)?);
            return Ok(Self { train, test, source, notes });
        }
        let mut counts = train.class_counts();
        counts.iter_mut().zip(test.class_counts()).for_each(|(sum, count)| *sum += count);
        let names = train.classes().to_vec();
        let mapping = ClassMapping::new(network, ClassNames::new(&names, Some(&source)), &counts)?;
        notes.extend(mapping.note().map(ToOwned::to_owned));
        source.classes = (names != mapping.classes).then_some(names);
        Ok(Self { train: mapping.apply(&train), test: mapping.apply(&test), source, notes })
    }

    /// Returns the data of a run, loaded again, with the `classes` of its network; `then` is the record of where
    /// it came from. The files are the same, and with them the meaning of each label, even if `classes.txt`
    /// has changed. Only labels from 1 were once numbered from 0.
    ///
    /// # Errors
    /// Images of classes that the network does not know.
    pub fn as_trained(
        mut self,
        classes: &[String],
        then: Option<&Source>,
    ) -> Result<Self, DataError> {
        if !self.train.target_kind().is_class() {
            return Ok(self);
        }
        let network = ClassNames::new(classes, then);
        let Some(names) = then.and_then(|source| source.classes.as_ref()) else {
            let data = ClassNames::new(self.train.classes(), Some(&self.source));
            let numbered = network.numbered && data.numbered;
            return if numbered { self.for_network(network) } else { Ok(self) };
        };
        if names.len() == self.train.classes().len() {
            let labels: Vec<u8> = (0..=u8::MAX).collect();
            self.train = self.train.relabeled(&labels, names.clone());
            self.test = self.test.relabeled(&labels, names.clone());
        }
        self.for_network(network)
    }
}

impl LoadedTest {
    /// Like [`Loaded::for_network`].
    ///
    /// # Errors
    /// Like [`Loaded::for_network`].
    pub fn for_network(self, network: ClassNames<'_>) -> Result<Self, DataError> {
        let Self { test, source, mut notes } = self;
        if !test.target_kind().is_class() {
            notes.extend(same_columns(network.names, &test)?);
            return Ok(Self { test, source, notes });
        }
        let data = ClassNames::new(test.classes(), Some(&source));
        let mapping = ClassMapping::new(network, data, &test.class_counts())?;
        notes.extend(mapping.note().map(ToOwned::to_owned));
        Ok(Self { test: mapping.apply(&test), source, notes })
    }
}
