//! Problems of files of arrays.

use crate::data::class_problem::list;
use crate::data::dataset_problem::DatasetProblem;
use crate::data::targets::TargetKind;
use crate::formats::FormatProblem;

/// A file of arrays that does not hold a data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArraysProblem {
    /// A file that is damaged, or asks for too much memory.
    #[error(transparent)]
    Format(#[from] FormatProblem),
    /// A file that is not an archive of arrays.
    #[error("a data set is a .npz file, as numpy.savez writes it, found {0}")]
    NotNpz(&'static str),
    /// A file that is none of arrays.
    #[error(
        "samples are in a file of arrays (.npy, .npz or .safetensors), found {0}: save them with numpy.save"
    )]
    NotNumpy(&'static str),
    /// Arrays that are missing.
    #[error(
        "the {}, and the file holds {found}: name yours with --keys {}",
        needed(.missing), options(.missing)
    )]
    Missing {
        /// The name of each, and its key: `x_train`, for example.
        missing: Vec<(String, &'static str)>,
        /// The arrays of the file, in words.
        found: String,
    },
    /// An array without its partner.
    #[error(
        "{there:?} needs {missing:?} beside it, and the file holds {found}: give both or neither"
    )]
    Alone {
        /// The array that is there.
        there: String,
        /// The one that is missing.
        missing: String,
        /// The arrays of the file, in words.
        found: String,
    },
    /// An array with an invalid header.
    #[error("array {key:?}: {rule}: save it again")]
    Header {
        /// The array.
        key: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// An array with more or fewer bytes than its header says.
    #[error(
        "array {key:?}: {numbers} numbers of {size} bytes are needed, found {found} bytes: save it again"
    )]
    Length {
        /// The array.
        key: String,
        /// The number of numbers by its shape.
        numbers: usize,
        /// Bytes of a number.
        size: usize,
        /// Bytes found.
        found: usize,
    },
    /// An array of something else than numbers.
    #[error(
        "array {key:?} must hold integers, floats or bool, found the type {found:?}: {}",
        type_cure(.found, *.may_name)
    )]
    Type {
        /// The array.
        key: String,
        /// The name of the type, NumPy's or that of safetensors.
        found: String,
        /// Whether it may also hold the names of classes.
        may_name: bool,
    },
    /// Names of classes where other targets were asked for.
    #[error(
        "array {key:?} holds text, the names of classes, and targets that are {kind} were asked for: save numbers, or \
         add --task class"
    )]
    TextTargets {
        /// The array.
        key: String,
        /// The kind that was asked for.
        kind: TargetKind,
    },
    /// Too few samples for a test part.
    #[error(
        "a fifth of the samples becomes the test part where there is none, and both need at least one sample, found \
         {0} in all: add samples, or a test part"
    )]
    TooFew(usize),
    /// An array of the wrong shape.
    #[error("array {key:?} must be {rule}, found shape {shape:?}: {cure}")]
    Shape {
        /// The array.
        key: String,
        /// The rule.
        rule: &'static str,
        /// Its shape.
        shape: Vec<usize>,
        /// The cure.
        cure: &'static str,
    },
    /// A number that is not allowed.
    #[error("array {key:?}: {rule}, found {found} at {place:?}: {cure}")]
    Value {
        /// The array.
        key: String,
        /// The rule.
        rule: &'static str,
        /// The number.
        found: String,
        /// Its index along each axis.
        place: Vec<usize>,
        /// The cure.
        cure: &'static str,
    },
    /// Text that is not the name of a class.
    #[error(
        "array {key:?}: {rule}, found {found} at {place:?}: correct it, or name all classes with --target-names"
    )]
    Text {
        /// The array.
        key: String,
        /// The rule.
        rule: String,
        /// The text.
        found: String,
        /// Its index along each axis.
        place: Vec<usize>,
    },
    /// An array of names that is none.
    #[error(
        "array {key:?} must hold names, one for each target, found {found}: save it as numpy.array([\"a\", \"b\"])"
    )]
    NoNames {
        /// The array.
        key: String,
        /// Its type or shape, in words.
        found: String,
    },
    /// Names of targets that cannot be distinguished or printed.
    #[error("names of targets: {0}, or give all with --target-names")]
    TargetNames(DatasetProblem),
    /// Text as targets that holds no names of classes.
    #[error("array {key:?}: {problem}")]
    TextNames {
        /// The array.
        key: String,
        /// The problem of its names.
        problem: DatasetProblem,
    },
    /// Other than one name for each label or number.
    #[error(
        "one name is needed for each of {}, found {} ({}): name all of them",
        .kind.counted(*.columns), .names.len(), list(.names)
    )]
    NameCount {
        /// Labels or numbers.
        kind: TargetKind,
        /// Their number.
        columns: usize,
        /// The names.
        names: Vec<String>,
    },
    /// Samples and targets differ in number.
    #[error(
        "each sample needs a target, found {samples} samples in {x:?} and {targets} targets in {y:?}: save \
         both from the same rows, in the same order"
    )]
    Counts {
        /// The array of the samples.
        x: String,
        /// Their number.
        samples: usize,
        /// The array of the targets.
        y: String,
        /// Their number.
        targets: usize,
    },
    /// Targets whose meaning cannot be known.
    #[error(
        "array {key:?} holds floats that are all 0 or 1, which may be classes, several labels or numbers: say \
         which with --task {}", TargetKind::NAMES.join(", --task ")
    )]
    Ambiguous {
        /// The array.
        key: String,
    },
    /// One-hot rows, which may be a class or several labels.
    #[error(
        "array {key:?} holds one-hot rows, a single 1 in each of {columns} columns, which may be one of {columns} \
         classes or {columns} labels: say which with --task class or --task labels"
    )]
    OneHot {
        /// The array.
        key: String,
        /// The length of a row.
        columns: usize,
    },
    /// Training and test arrays that differ.
    #[error(
        "training and test {what} must be alike, found {train} and {test}: take both from the same source"
    )]
    Parts {
        /// "samples" or "targets".
        what: &'static str,
        /// Those of the training part, in words.
        train: String,
        /// Those of the test part.
        test: String,
    },
}

impl ArraysProblem {
    /// Returns the problem of an array that holds no names of classes.
    pub(super) fn of_numbers(self) -> Self {
        match self {
            Self::Type { key, found, .. } => Self::Type { key, found, may_name: false },
            other => other,
        }
    }
}

/// Returns the cure for an array of this type.
fn type_cure(found: &str, may_name: bool) -> String {
    let is_numpy = found.starts_with(['<', '>', '|', '=']);
    let numbers = match found.trim_start_matches(['<', '>', '|', '=']) {
        _ if !is_numpy => "convert it to float32, as tensor.float() does in PyTorch",
        text if text.starts_with(['U', 'S']) => {
            "turn the text into numbers, such as a column of 0 and 1 for each word"
        }
        "O" => "save array.astype(\"float32\") (seqfit reads no pickled objects)",
        _ => "save array.astype(\"float32\")",
    };
    match may_name && is_numpy {
        true => format!("{numbers}, or as names of classes array.astype(str)"),
        false => numbers.to_owned(),
    }
}

fn needed(missing: &[(String, &str)]) -> String {
    let names: Vec<String> = missing.iter().map(|(name, _)| format!("{name:?}")).collect();
    match &names[..] {
        [name] => format!("array {name} is needed"),
        names => format!("arrays {} are needed", names.join(" and ")),
    }
}

fn options(missing: &[(String, &str)]) -> String {
    missing.iter().map(|(_, key)| format!("{key}=NAME")).collect::<Vec<_>>().join(",")
}
