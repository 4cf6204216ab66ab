//! The names of classes, labels and numbers: those that were given, else their numbers.

use super::features_and_targets::Unnamed;
use super::problem::ArraysProblem;
use crate::data::class_names::check_target_names;
use crate::data::class_problem::some;
use crate::data::label_numbering::{self, Labels, PartLabels};
use crate::data::targets::{TargetKind, Targets, column_names};

/// Names that were given for targets.
pub(super) enum Names {
    /// For targets of any kind.
    Targets(Vec<String>),
    /// Those in `classes.txt`, which say nothing about numbers.
    Classes(Vec<String>),
}

/// The targets of the training and of the test part, and notes.
pub(super) struct Named {
    pub train: Targets,
    pub test: Option<Targets>,
    pub notes: Vec<String>,
}

/// Names the targets of both parts alike.
pub(super) fn named(
    train: Unnamed,
    test: Option<Unnamed>,
    given: Option<Names>,
) -> Result<Named, ArraysProblem> {
    let mut notes = Vec::new();
    let kind = train.kind();
    let given = match given {
        Some(Names::Classes(_)) if kind == TargetKind::Numbers => {
            notes.push("classes.txt is not used: the targets are numbers".to_owned());
            None
        }
        Some(Names::Targets(names) | Names::Classes(names)) => Some(checked(kind, names)?),
        None => None,
    };
    let columns = |what, width| match &given {
        None => Ok(column_names(what, width)),
        Some(names) if names.len() == width => Ok(names.clone()),
        Some(names) => Err(ArraysProblem::NameCount { kind, columns: width, names: names.clone() }),
    };
    let Classes { names, first } = match kind {
        TargetKind::Class => Classes::of(&train, test.as_ref(), given.clone())?,
        _ => Classes::default(),
    };
    if given.is_some() && first == 1 {
        notes.extend(
            names.first().map(|name| format!("classes are counted from 1, so 1 is {name}")),
        );
    }
    let name = |targets| {
        Ok::<_, ArraysProblem>(match targets {
            Unnamed::Classes(mut classes, _) => {
                classes.iter_mut().for_each(|class| *class -= first);
                Targets::Classes { classes, names: names.clone() }
            }
            Unnamed::NamedClasses(named) => {
                Targets::Classes { classes: named.classes(&names)?, names: names.clone() }
            }
            Unnamed::Labels(values, width) => {
                Targets::Labels { values, names: columns("label", width)? }
            }
            Unnamed::Numbers(values, width) => {
                Targets::Numbers { values, names: columns("target", width)? }
            }
        })
    };
    let (train, test) = (name(train)?, test.map(name).transpose()?);
    notes.extend(unseen(&train));
    Ok(Named { train, test, notes })
}

fn checked(kind: TargetKind, names: Vec<String>) -> Result<Vec<String>, ArraysProblem> {
    check_target_names(kind, &names).map_err(ArraysProblem::TargetNames)?;
    Ok(names)
}

#[derive(Default)]
struct Classes {
    names: Vec<String>,
    /// The number of the first, which is counted from 0 or 1.
    first: u8,
}

impl Classes {
    /// Returns the classes of both parts: those that are given, else those that occur.
    fn of(
        train: &Unnamed,
        test: Option<&Unnamed>,
        given: Option<Vec<String>>,
    ) -> Result<Self, ArraysProblem> {
        let differ = |train: &str, test: &str| ArraysProblem::Parts {
            what: "targets",
            train: train.to_owned(),
            test: test.to_owned(),
        };
        match (train, test) {
            (Unnamed::NamedClasses(_), Some(Unnamed::Classes(..))) => {
                Err(differ("text", "numbers"))
            }
            (_, Some(Unnamed::NamedClasses(_))) if !matches!(train, Unnamed::NamedClasses(_)) => {
                Err(differ("numbers", "text"))
            }
            (Unnamed::NamedClasses(train), test) => {
                let names: Vec<String> = match (given, test) {
                    // They were checked.
                    (Some(names), _) => return Ok(Self { names, first: 0 }),
                    (None, Some(Unnamed::NamedClasses(test))) => {
                        train.names()?.union(&test.names()?).cloned().collect()
                    }
                    (None, _) => train.names()?.into_iter().collect(),
                };
                let wrong = |problem| match names.len() {
                    // Those without samples are missing.
                    0 | 1 => ArraysProblem::TargetNames(problem),
                    _ => ArraysProblem::TextNames { key: train.key.clone(), problem },
                };
                check_target_names(TargetKind::Class, &names).map_err(wrong)?;
                Ok(Self { names, first: 0 })
            }
            (Unnamed::Classes(_, Some(count)), Some(Unnamed::Classes(_, Some(test))))
                if count != test =>
            {
                let counted = |count: usize| TargetKind::Class.counted(count);
                Err(differ(&counted(*count), &counted(*test)))
            }
            (Unnamed::Classes(_, Some(count)), _) => {
                let (kind, columns) = (TargetKind::Class, *count);
                match given {
                    Some(names) if names.len() != columns => {
                        Err(ArraysProblem::NameCount { kind, columns, names })
                    }
                    Some(names) => Ok(Self { names, first: 0 }),
                    None => Ok(Self {
                        names: (0..columns).map(|class| class.to_string()).collect(),
                        first: 0,
                    }),
                }
            }
            _ => {
                let labels = |part: Option<&Unnamed>| match part {
                    Some(Unnamed::Classes(labels, _)) => Labels::of(labels),
                    _ => Labels::of(&[]),
                };
                let labels = PartLabels { train: labels(Some(train)), test: labels(test) };
                let numbering = label_numbering::number(&labels, given, None);
                Ok(Self { names: numbering.names, first: numbering.first })
            }
        }
    }
}

/// Describes the classes without training samples.
fn unseen(train: &Targets) -> Option<String> {
    let Targets::Classes { classes, names } = train else { return None };
    let mut seen = [false; 256];
    classes.iter().for_each(|&class| seen[usize::from(class)] = true);
    let unseen: Vec<String> =
        names.iter().zip(seen).filter(|(_, seen)| !seen).map(|(name, _)| name.clone()).collect();
    (!unseen.is_empty()).then(|| {
        format!(
            "no training sample has class {}: a network cannot learn what it is not shown",
            some(&unseen)
        )
    })
}
