//! From an array to samples, or to targets.

use super::named_classes::NamedClasses;
use super::problem::ArraysProblem;
use super::read::{self, Array, Numbers};
use crate::data::features::Features;
use crate::data::targets::TargetKind;
use crate::formats::{FormatProblem, MemoryBudget};

const FOR_REGRESSION: &str = "if these are for regression, add --task numbers";

/// The most classes of a data set.
const MOST_CLASSES: usize = 256;

/// An array with its name.
pub(super) struct Part {
    pub key: String,
    pub array: Array,
}

/// Targets before their names are known.
pub(super) enum Unnamed {
    /// With the number of classes, if one-hot rows say it.
    Classes(Vec<u8>, Option<usize>),
    NamedClasses(NamedClasses),
    Labels(Vec<u8>, usize),
    Numbers(Vec<f32>, usize),
}

impl Unnamed {
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Classes(..) | Self::NamedClasses(_) => TargetKind::Class,
            Self::Labels(..) => TargetKind::Labels,
            Self::Numbers(..) => TargetKind::Numbers,
        }
    }
}

/// Checks that there is a target for each sample.
pub(super) fn check_counts(x: &Part, y: &Part) -> Result<(), ArraysProblem> {
    let count = |part: &Part| part.array.shape.first().copied();
    match (count(x), count(y)) {
        // What has no axis is refused with its shape.
        (Some(samples), Some(targets)) if samples != targets => {
            Err(ArraysProblem::Counts { x: x.key.clone(), samples, y: y.key.clone(), targets })
        }
        _ => Ok(()),
    }
}

impl Part {
    pub fn shape_error(&self, rule: &'static str, cure: &'static str) -> ArraysProblem {
        ArraysProblem::Shape { key: self.key.clone(), rule, shape: self.array.shape.clone(), cure }
    }

    /// Checks that the array does not hold text.
    pub fn check_numbers(&self) -> Result<(), ArraysProblem> {
        match &self.array.numbers {
            Numbers::Text(text) => {
                let (key, found) = (self.key.clone(), text.descr.clone());
                Err(ArraysProblem::Type { key, found, may_name: false })
            }
            _ => Ok(()),
        }
    }

    /// Returns the array as samples.
    pub fn features(self, budget: &mut MemoryBudget) -> Result<Features, ArraysProblem> {
        self.check_numbers()?;
        let [samples, sample @ ..] = &self.array.shape[..] else {
            return Err(
                self.shape_error("[samples, …]", "save an array with a row for each sample")
            );
        };
        let shape = if sample.is_empty() { vec![1] } else { sample.to_vec() };
        match self.array.numbers {
            Numbers::U8(pixels) if shape.len() > 1 => {
                Ok(pictures(pixels, *samples, shape, budget)?)
            }
            numbers => Ok(Features::floats(numbers.into_floats(budget)?, shape)),
        }
    }

    /// Returns the error for an array that cannot be targets.
    fn targets_shape_error(&self) -> ArraysProblem {
        let cure = match &self.array.shape[..] {
            [] => "save an array with a target for each sample",
            [0, ..] => "give samples and their targets (a test part may be left out)",
            shape if shape.contains(&0) => "save at least one target for each sample",
            _ => "save array.reshape(len(array), -1)",
        };
        self.shape_error("[samples] or [samples, targets], neither of them 0", cure)
    }

    /// Returns the array as targets of this kind, or of the kind that its type and shape suggest.
    pub fn targets(
        self,
        kind: Option<TargetKind>,
        budget: &mut MemoryBudget,
    ) -> Result<Unnamed, ArraysProblem> {
        let columns = match self.array.shape[..] {
            [samples] if samples > 0 => 1,
            [samples, columns] if samples > 0 && columns > 0 => columns,
            _ => return Err(self.targets_shape_error()),
        };
        // Who asked for a kind, as a network does, has chosen between the kinds.
        let is_asked = kind.is_some();
        let kind = match kind {
            Some(kind) => kind,
            None => self.suggested()?,
        };
        if !kind.is_class() && matches!(self.array.numbers, Numbers::Text(_)) {
            return Err(ArraysProblem::TextTargets { key: self.key, kind });
        }
        let Self { key, array: Array { numbers, shape } } = self;
        let cure = |suggested| match is_asked {
            true => "correct it, or choose data with targets of this kind",
            false => suggested,
        };
        let value = |rule, suggested| {
            let (key, shape, cure) = (key.clone(), shape.clone(), cure(suggested));
            move |(at, found)| {
                let place = read::place(at, &shape, false);
                ArraysProblem::Value { key, rule, found, place, cure }
            }
        };
        match kind {
            TargetKind::Class if columns == 1 => {
                if let Numbers::Text(text) = numbers {
                    return Ok(Unnamed::NamedClasses(NamedClasses { key, text, shape }));
                }
                let wrong = value("classes are whole numbers from 0 to 255", FOR_REGRESSION);
                Ok(Unnamed::Classes(numbers.into_bytes(u8::MAX).map_err(wrong)?, None))
            }
            TargetKind::Class if columns > MOST_CLASSES || matches!(numbers, Numbers::Text(_)) => {
                Err(ArraysProblem::Shape {
                    key,
                    rule: "[samples], or one-hot rows of at most 256 classes, if it holds classes",
                    shape,
                    cure: "save one class for each sample",
                })
            }
            TargetKind::Class => match numbers.one_hot(columns) {
                Ok(classes) => Ok(Unnamed::Classes(classes, Some(columns))),
                Err(row) => {
                    let rule = "classes are [samples], or one-hot rows with a single 1 among zeros";
                    let (found, place) = (numbers.row_text(row * columns, columns), vec![row]);
                    let cure = cure("if these are several labels, add --task labels");
                    Err(ArraysProblem::Value { key, rule, found, place, cure })
                }
            },
            TargetKind::Labels => {
                let wrong = value("several labels are 0 or 1 each", FOR_REGRESSION);
                Ok(Unnamed::Labels(numbers.into_bytes(1).map_err(wrong)?, columns))
            }
            TargetKind::Numbers => Ok(Unnamed::Numbers(numbers.into_floats(budget)?, columns)),
        }
    }

    /// Returns the kind of target that the type and shape suggest.
    fn suggested(&self) -> Result<TargetKind, ArraysProblem> {
        let is_column = matches!(self.array.shape[..], [_] | [_, 1]);
        if let [_, columns] = self.array.shape[..]
            && columns > 1
            && self.array.numbers.one_hot(columns).is_ok()
        {
            return Err(ArraysProblem::OneHot { key: self.key.clone(), columns });
        }
        match &self.array.numbers {
            Numbers::Text(_) => Ok(TargetKind::Class),
            Numbers::Bool(_) if self.array.shape.len() == 1 => Ok(TargetKind::Class),
            Numbers::U8(_) | Numbers::Ints(_) if is_column => Ok(TargetKind::Class),
            Numbers::U8(_) | Numbers::Ints(_) | Numbers::Bool(_) => Ok(TargetKind::Labels),
            Numbers::Floats(values) => {
                match values.iter().all(|&value| value == 0.0 || value == 1.0) {
                    true => Err(ArraysProblem::Ambiguous { key: self.key.clone() }),
                    false => Ok(TargetKind::Numbers),
                }
            }
        }
    }
}

/// Returns a note on floats that are taken for numbers, and could be classes.
pub(super) fn note_on_floats(y: &Part) -> Option<String> {
    let [low, high] = y.array.numbers.whole_range()?;
    let is_column = matches!(y.array.shape[..], [_] | [_, 1]);
    let key = &y.key;
    // A single value is no class of several.
    (is_column && high > 1.0 && low < high).then(|| {
        format!(
            "{key} holds floats, so they are numbers to predict, though all are whole, from {low} to {high}: --task \
             class takes them as classes, and --task numbers omits this note"
        )
    })
}

/// Returns pixels as samples: channels that are last are moved to the front, and a single one is left out.
fn pictures(
    pixels: Vec<u8>,
    samples: usize,
    shape: Vec<usize>,
    budget: &mut MemoryBudget,
) -> Result<Features, FormatProblem> {
    match shape[..] {
        [1, height, width] => Ok(Features::pixels(pixels, [height, width])),
        [height, width, 1] if height != 3 => Ok(Features::pixels(pixels, [height, width])),
        [height, width, 3] if height != 3 => {
            let mut moved = budget.list(pixels.len())?;
            for picture in pixels.chunks_exact((height * width * 3).max(1)).take(samples) {
                for channel in 0..3 {
                    moved.extend(picture.iter().skip(channel).step_by(3));
                }
            }
            Ok(Features::pixels(moved, [3, height, width]))
        }
        _ => Ok(Features::pixels(pixels, shape)),
    }
}
