//! From named arrays to a training and a test part, and the record of where they came from.

use std::ffi::OsStr;
use std::path::{self, Path};

use super::features_and_targets::{Part, Unnamed, check_counts, note_on_floats};
use super::name_targets::{Named, Names, named};
use super::problem::ArraysProblem;
use super::read::{Array, Numbers};
use crate::data::array_keys::ArrayKeys;
use crate::data::dataset::Dataset;
use crate::data::error::{DataError, DatasetProblem};
use crate::data::features::Features;
use crate::data::source::{Loaded, LoadedTest, PathRequest, Source, SourceFile};
use crate::data::targets::TargetKind;
use crate::formats::MemoryBudget;
use crate::message_text::drawn_test_part;

/// The fraction of the samples that are the test part of data without one, and the seed that draws them.
const TEST_FRACTION: f64 = 0.2;
const TEST_SEED: u64 = 0;

/// The array of the names of targets, as scikit-learn's data sets name it.
const TARGET_NAMES: &str = "target_names";
/// The usual name of the weights of the training samples.
const WEIGHTS: &str = "w_train";

/// A file or a folder of named arrays.
pub(in crate::data) trait NamedArrays: Sized {
    /// Opens it. The arrays are read when they are needed.
    ///
    /// # Errors
    /// A path that cannot be read, or holds something else.
    fn open(path: &Path) -> Result<Self, DataError>;

    /// Returns the names of all its arrays.
    fn names(&self) -> &[String];

    /// Returns the memory that its arrays may take.
    fn budget(&self) -> MemoryBudget;

    /// Reads the array of this name, which is one of [`names`](Self::names).
    ///
    /// # Errors
    /// An array that is damaged, or of another type than numbers.
    fn read(&mut self, name: &str, budget: &mut MemoryBudget) -> Result<Array, Failure>;

    /// Returns the names of classes that are beside the arrays, in no array.
    ///
    /// # Errors
    /// Names that cannot be read.
    fn class_names(&self) -> Result<Option<Vec<String>>, DataError> {
        Ok(None)
    }

    /// Returns the files that were read so far, each once, with their names in the folder.
    fn files(&self) -> Vec<SourceFile>;
}

/// Why arrays could not be read: the path is added to the first kind.
pub(in crate::data) enum Failure {
    Problem(ArraysProblem),
    Data(DataError),
}

impl Failure {
    /// Returns the failure to read an array that holds no names of classes.
    pub fn of_numbers(self) -> Self {
        match self {
            Self::Problem(problem) => Self::Problem(problem.of_numbers()),
            other => other,
        }
    }
}

impl<T: Into<ArraysProblem>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

/// The data sets in a file or a folder of arrays.
#[derive(Clone, Debug)]
pub struct Arrays {
    /// The training part.
    pub train: Dataset,
    /// The test part, if there is one.
    pub test: Option<Dataset>,
    /// Notes for the user, such as arrays that were not used.
    pub notes: Vec<String>,
}

/// Loads the data that was asked for; data without a test part is split.
pub(in crate::data) fn load<T: NamedArrays>(request: &PathRequest) -> Result<Loaded, DataError> {
    let mut arrays = T::open(&request.path)?;
    let Arrays { train, test, mut notes } = requested(&mut arrays, request, &request.keys)?;
    let (train, test) = match test {
        Some(test) => (train, test),
        None => {
            let parts = match train.split(TEST_FRACTION, TEST_SEED) {
                Err(DataError::Dataset(DatasetProblem::Split { samples, .. })) => {
                    let problem = Box::new(ArraysProblem::TooFew(samples));
                    return Err(DataError::Arrays { path: request.path.clone(), problem });
                }
                parts => parts?,
            };
            parts.0.check_some_weight()?;
            notes.push(format!(
                "there is no test part ({} and {}): {} to train on",
                request.keys.x_test,
                request.keys.y_test,
                drawn_test_part("sample", parts.1.len(), parts.0.len())
            ));
            parts
        }
    };
    let source = source(&arrays, request, train.target_names())?;
    Ok(Loaded { train, test, source, notes })
}

/// Loads the test part alone, if there is no training part and no array of one was asked for.
pub(in crate::data) fn load_test<T: NamedArrays>(
    request: &PathRequest,
) -> Result<LoadedTest, DataError> {
    let ArrayKeys { x_train, y_train, x_test, y_test, w_train, .. } = &request.keys;
    let mut arrays = T::open(&request.path)?;
    let usual = ArrayKeys::default();
    let is_asked = *x_train != usual.x_train || *y_train != usual.y_train || w_train.is_some();
    if is_asked || arrays.names().contains(x_train) {
        return load::<T>(request).map(LoadedTest::from);
    }
    let keys = ArrayKeys {
        x_train: x_test.clone(),
        y_train: y_test.clone(),
        x_test: String::new(),
        y_test: String::new(),
        w_train: None,
        target_names: request.keys.target_names.clone(),
    };
    let Arrays { train: test, notes, .. } = requested(&mut arrays, request, &keys)?;
    let source = source(&arrays, request, test.target_names())?;
    Ok(LoadedTest { test, source, notes })
}

/// Reads both parts of arrays with these names, as they were requested.
fn requested(
    arrays: &mut impl NamedArrays,
    request: &PathRequest,
    keys: &ArrayKeys,
) -> Result<Arrays, DataError> {
    read_all(arrays, &request.path, keys, request.targets, request.target_names.clone())
}

/// Reads both parts.
pub(in crate::data) fn read_all(
    arrays: &mut impl NamedArrays,
    path: &Path,
    keys: &ArrayKeys,
    kind: Option<TargetKind>,
    target_names: Option<Vec<String>>,
) -> Result<Arrays, DataError> {
    read_parts(arrays, path, keys, kind, target_names).map_err(|failure| match failure {
        Failure::Problem(problem) => {
            DataError::Arrays { path: path.to_owned(), problem: Box::new(problem) }
        }
        Failure::Data(error) => error,
    })
}

fn read_parts(
    arrays: &mut impl NamedArrays,
    path: &Path,
    keys: &ArrayKeys,
    kind: Option<TargetKind>,
    target_names: Option<Vec<String>>,
) -> Result<Arrays, Failure> {
    let ArrayKeys { x_train, y_train, x_test, y_test, w_train, .. } = keys;
    let names = arrays.names().to_vec();
    let found = || match &names[..] {
        [] => "no arrays".to_owned(),
        names => names.join(", "),
    };
    // Of the test part alone the keys are in the place of the training keys: see `load_test`.
    let [x, y] = if x_test.is_empty() { ["x_test", "y_test"] } else { ["x_train", "y_train"] };
    let needed = [(x_train, x), (y_train, y)].into_iter();
    let optional = [(w_train, "w_train"), (&keys.target_names, "target_names")].into_iter();
    let asked = optional.filter_map(|(key, option)| Some((key.as_ref()?, option)));
    let missing = needed.chain(asked).filter(|(key, _)| !names.contains(key));
    let missing: Vec<_> = missing.map(|(key, option)| (key.clone(), option)).collect();
    if !missing.is_empty() {
        return Err(ArraysProblem::Missing { missing, found: found() }.into());
    }
    let has_test = names.contains(x_test);
    if has_test != names.contains(y_test) {
        let (there, missing) = if has_test { (x_test, y_test) } else { (y_test, x_test) };
        let (there, missing) = (there.clone(), missing.clone());
        return Err(ArraysProblem::Alone { there, missing, found: found() }.into());
    }
    let mut budget = arrays.budget();
    let (x, y, note) = pair(arrays, &mut budget, x_train, y_train, kind)?;
    let test = match has_test {
        true => {
            let (x, y, _) = pair(arrays, &mut budget, x_test, y_test, Some(y.kind()))?;
            Some((x, y))
        }
        false => None,
    };
    let (test_x, test_y) = test.unzip();
    let names_key = keys.target_names.as_deref().unwrap_or(TARGET_NAMES);
    let given = names_of(arrays, &mut budget, names_key, target_names)?;
    let Named { train: y, test: test_y, mut notes } = named(y, test_y, given)?;
    notes.extend(note);
    let of = |x: Features, y, keys: [&String; 2]| {
        let pair = keys.map(String::as_str).join(" and ");
        Dataset::from_arrays(x, y).map_err(|error| Failure::Data(inside(error, path, pair)))
    };
    let mut train = of(x, y, [x_train, y_train])?;
    if let Some(key) = w_train {
        let weights = weights(arrays, &mut budget, key)?;
        train = train
            .with_sample_weights(&weights)
            .map_err(|error| Failure::Data(inside(error, path, format!("{x_train} and {key}"))))?;
    }
    let test = match test_x.zip(test_y) {
        Some((x, y)) => Some(of(x, y, [x_test, y_test])?),
        None => None,
    };
    if let Some(test) = &test {
        check_alike(&train, test)?;
    }
    let used =
        [x_train, y_train, x_test, y_test, w_train.as_deref().unwrap_or_default(), names_key];
    let others = names.iter().filter(|name| !used.contains(&name.as_str()));
    let others: Vec<&str> = others.map(String::as_str).collect();
    if !others.is_empty() {
        // The usual name is not enough, since weights change the training.
        let weights = match others.contains(&WEIGHTS) {
            true => format!(" (--keys {WEIGHTS}={WEIGHTS} weighs the training samples)"),
            false => String::new(),
        };
        notes.push(format!("arrays that are not used: {}{weights}", others.join(", ")));
    }
    Ok(Arrays { train, test, notes })
}

fn pair(
    arrays: &mut impl NamedArrays,
    budget: &mut MemoryBudget,
    x: &str,
    y: &str,
    kind: Option<TargetKind>,
) -> Result<(Features, Unnamed, Option<String>), Failure> {
    let mut part = |key: &str| {
        let array = arrays.read(key, budget)?;
        Ok::<_, Failure>(Part { key: key.to_owned(), array })
    };
    let (x, y) = (part(x).map_err(Failure::of_numbers)?, part(y)?);
    check_counts(&x, &y)?;
    let note = if kind.is_none() { note_on_floats(&y) } else { None };
    Ok((x.features(budget)?, y.targets(kind, budget)?, note))
}

/// Returns the names of the targets: those requested, else those in the array `key`, else those beside the arrays.
fn names_of(
    arrays: &mut impl NamedArrays,
    budget: &mut MemoryBudget,
    key: &str,
    requested: Option<Vec<String>>,
) -> Result<Option<Names>, Failure> {
    if let Some(names) = requested {
        return Ok(Some(Names::Targets(names)));
    }
    if !arrays.names().iter().any(|name| name == key) {
        return Ok(arrays.class_names().map_err(Failure::Data)?.map(Names::Classes));
    }
    let Array { numbers, shape } = arrays.read(key, budget)?;
    let problem = |found| ArraysProblem::NoNames { key: key.to_owned(), found };
    match (numbers, &shape[..]) {
        (Numbers::Text(text), [_]) => {
            // A short string takes more than its bytes in the file.
            budget.take::<[u8; 64]>(text.len())?;
            let names = text.strings().map_err(|at| problem(format!("no Unicode at [{at}]")))?;
            Ok(Some(Names::Targets(names)))
        }
        (Numbers::Text(_), _) => Err(problem(format!("shape {shape:?}")).into()),
        _ => Err(problem("numbers".to_owned()).into()),
    }
}

/// Reads the weights of samples, one number each.
fn weights(
    arrays: &mut impl NamedArrays,
    budget: &mut MemoryBudget,
    key: &str,
) -> Result<Vec<f32>, Failure> {
    let array = arrays.read(key, budget).map_err(Failure::of_numbers)?;
    let part = Part { key: key.to_owned(), array };
    part.check_numbers()?;
    match part.array.shape[..] {
        [_] => Ok(part.array.numbers.into_floats(budget)?),
        _ => {
            let rule = "[samples] if it holds weights of samples";
            Err(part.shape_error(rule, "save one weight for each sample").into())
        }
    }
}

fn check_alike(train: &Dataset, test: &Dataset) -> Result<(), ArraysProblem> {
    let differ = |what, [train, test]: [String; 2]| ArraysProblem::Parts { what, train, test };
    let samples = [train, test].map(Dataset::samples_in_words);
    if samples[0] != samples[1] {
        return Err(differ("samples", samples));
    }
    let [a, b] = [train, test].map(|set| set.target_names().len());
    if a != b {
        let counted = |count| format!("{} for each sample", train.target_kind().counted(count));
        return Err(differ("targets", [a, b].map(counted)));
    }
    Ok(())
}

/// Adds the file and its arrays to an error of a data set.
pub(super) fn inside(error: DataError, path: &Path, arrays: String) -> DataError {
    match error {
        DataError::Dataset(problem) => {
            DataError::InArrays { path: path.to_owned(), arrays, problem }
        }
        other => other,
    }
}

/// Returns the record of arrays: of a file its folder, and of a folder the folder itself. Names beside the arrays are
/// part of it, so that they stay as they are.
fn source(
    arrays: &impl NamedArrays,
    request: &PathRequest,
    target_names: &[String],
) -> Result<Source, DataError> {
    let absolute = path::absolute(&request.path).unwrap_or_else(|_| request.path.clone());
    let name = |part: Option<&OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (name, dir) = match absolute.is_dir() {
        true => (name(absolute.file_name()), Some(absolute.clone())),
        false => (name(absolute.file_stem()), absolute.parent().map(Path::to_owned)),
    };
    let mut options = request.options();
    if options.target_names.is_none() {
        options.target_names = arrays.class_names()?.filter(|names| *names == target_names);
    }
    let files = arrays.files();
    Ok(Source {
        name,
        dir,
        notice: None,
        classes: None,
        arrays: Some(options),
        pictures: None,
        files,
    })
}
