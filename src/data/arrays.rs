//! Data sets in NumPy's files: `.npz` as `numpy.savez` writes it, or a pair of `.npy` files.

mod problem;
mod read;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{self, Path, PathBuf};

use super::array_keys::ArrayKeys;
use super::dataset::Dataset;
use super::error::DataError;
use super::features::Features;
use super::label_numbering::{self, Labels, PartLabels};
use super::open_file::ordinary;
use super::sha256::{self, Sha256Hex};
use super::source::{ArraysRequest, Loaded, LoadedTest, Source, SourceFile};
use super::targets::{TargetKind, Targets, column_names};
use crate::formats::{Archive, FormatProblem, MemoryBudget};
use crate::native::reserved;
pub use problem::ArraysProblem;
use read::{Array, Numbers, array};

/// The fraction of the samples that are the test part of a file without one, and the seed that draws them.
const TEST_FRACTION: f64 = 0.2;
const TEST_SEED: u64 = 0;

/// The data sets in a `.npz` file.
#[derive(Clone, Debug)]
pub struct Arrays {
    /// The training part.
    pub train: Dataset,
    /// The test part, if the file has one.
    pub test: Option<Dataset>,
    /// Notes for the user, such as arrays of the file that were not used.
    pub notes: Vec<String>,
}

/// Reads the data sets in a `.npz` file.
///
/// **Features.** u8 arrays of three or more axes are pixels: `[n, height, width]`, or with channels
/// `[n, channels, height, width]` as PyTorch has them or `[n, height, width, channels]` as Keras has them. The
/// last axis holds the channels if it has 1 or 3 and the second axis has not; they are moved to the front, and a
/// single channel is left out. All other arrays are numbers, of any shape, and taken as they are: u8 arrays of one or
/// two axes, other integers, bool and floats; f64 and large integers are rounded to f32.
///
/// **Targets**, unless `targets` says what they are: integers `[n]` or `[n, 1]` and bool `[n]` are classes, other
/// integers and bool `[n, k]` are several labels and must be 0 or 1, floats `[n]` or `[n, k]` are numbers. Floats that
/// are all 0 or 1 may be either, and are an error. Classes are named by their numbers.
///
/// The memory that a file takes is bounded by its own length: see
/// [`MemoryBudget`](crate::import::MemoryBudget). Pickled objects are not read.
///
/// # Errors
/// A file that cannot be read or is damaged, an array that is missing or of another type, arrays that do not form
/// data sets. The errors name the file, the array, the position and the value.
pub fn load_npz(
    path: impl AsRef<Path>,
    keys: &ArrayKeys,
    targets: Option<TargetKind>,
) -> Result<Arrays, DataError> {
    let path = path.as_ref();
    Npz::open(path)?.arrays(keys, targets)
}

/// Reads a data set from two `.npy` files, by the same rules as [`load_npz`].
///
/// # Errors
/// Like [`load_npz`].
pub fn load_npy(
    features: impl AsRef<Path>,
    targets: impl AsRef<Path>,
    kind: Option<TargetKind>,
) -> Result<Dataset, DataError> {
    let (features, targets) = (features.as_ref(), targets.as_ref());
    let read = |path: &Path| {
        let at = |problem| DataError::Arrays { path: path.to_owned(), problem };
        let bytes = whole(path)?;
        // The file itself is its numbers.
        let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::TIMES);
        let key = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let array = array(&key, bytes, &mut budget).map_err(at)?;
        Ok::<_, DataError>((Part { key, array }, budget))
    };
    let (x, mut budget) = read(features)?;
    let (y, mut y_budget) = read(targets)?;
    let at = |path: &Path| {
        let path = path.to_owned();
        move |problem| DataError::Arrays { path: path.clone(), problem }
    };
    check_counts(&x, &y).map_err(at(features))?;
    let pair = format!("{} and {}", x.key, y.key);
    let x = x.features(&mut budget).map_err(at(features))?;
    let y = y.targets(kind, &mut y_budget).map_err(at(targets))?;
    let (y, _) = named(y, None).map_err(at(targets))?;
    Dataset::from_arrays(x, y.0).map_err(|error| inside(error, features, pair))
}

/// Loads the data that was asked for; a file without a test part is split.
pub(super) fn load(request: &ArraysRequest) -> Result<Loaded, DataError> {
    let mut npz = Npz::open(&request.path)?;
    let Arrays { train, test, mut notes } = npz.arrays(&request.keys, request.targets)?;
    let (train, test) = match test {
        Some(test) => (train, test),
        None => {
            let parts = train.split(TEST_FRACTION, TEST_SEED)?;
            notes.push(format!(
                "there is no test part ({} and {}): {} samples, drawn once and for all, are the test set, and {} \
                 are left to train on",
                request.keys.x_test,
                request.keys.y_test,
                parts.1.len(),
                parts.0.len()
            ));
            parts
        }
    };
    Ok(Loaded { train, test, source: npz.source(request)?, notes })
}

/// Loads the test part alone, if the file has no training part.
pub(super) fn load_test(request: &ArraysRequest) -> Result<LoadedTest, DataError> {
    let ArrayKeys { x_train, x_test, y_test, .. } = &request.keys;
    let mut npz = Npz::open(&request.path)?;
    if npz.has(x_train) {
        return load(request).map(LoadedTest::from);
    }
    let keys = ArrayKeys {
        x_train: x_test.clone(),
        y_train: y_test.clone(),
        x_test: String::new(),
        y_test: String::new(),
        w_train: None,
    };
    let Arrays { train: test, notes, .. } = npz.arrays(&keys, request.targets)?;
    Ok(LoadedTest { test, source: npz.source(request)?, notes })
}

/// A `.npz` file in memory.
struct Npz {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: Sha256Hex,
    names: Vec<String>,
}

impl Npz {
    fn open(path: &Path) -> Result<Self, DataError> {
        let bytes = whole(path)?;
        let at = |problem| DataError::Arrays { path: path.to_owned(), problem };
        if bytes.starts_with(b"\x93NUMPY") {
            return Err(at(ArraysProblem::NotNpz("a single array (.npy)")));
        }
        if !bytes.starts_with(b"PK") {
            return Err(at(ArraysProblem::NotNpz("something else")));
        }
        let archive = Archive::open(&bytes).map_err(|problem| at(problem.into()))?;
        let arrays = archive.names().filter_map(|name| name.strip_suffix(".npy"));
        let names = arrays.map(ToOwned::to_owned).collect();
        let sha256 = sha256::sha256(&bytes[..]).map_err(|source| DataError::read(path, source))?;
        Ok(Self { path: path.to_owned(), bytes, sha256, names })
    }

    fn has(&self, key: &str) -> bool {
        self.names.iter().any(|name| name == key)
    }

    fn at(&self, problem: impl Into<ArraysProblem>) -> DataError {
        DataError::Arrays { path: self.path.clone(), problem: problem.into() }
    }

    /// Returns the arrays that the file has, in words.
    fn found(&self) -> String {
        match &self.names[..] {
            [] => "no arrays".to_owned(),
            names => names.join(", "),
        }
    }

    fn arrays(&mut self, keys: &ArrayKeys, kind: Option<TargetKind>) -> Result<Arrays, DataError> {
        self.read_all(keys, kind).map_err(|error| match error {
            Failure::Problem(problem) => self.at(problem),
            Failure::Data(error) => error,
        })
    }

    fn read_all(&self, keys: &ArrayKeys, kind: Option<TargetKind>) -> Result<Arrays, Failure> {
        let ArrayKeys { x_train, y_train, x_test, y_test, w_train } = keys;
        let needed = [(x_train, "x_train"), (y_train, "y_train")].into_iter();
        for (key, option) in needed.chain(w_train.iter().map(|key| (key, "w_train"))) {
            if !self.has(key) {
                return Err(self.missing(key, option).into());
            }
        }
        let has_test = self.has(x_test);
        if has_test != self.has(y_test) {
            let (there, missing) = if has_test { (x_test, y_test) } else { (y_test, x_test) };
            let (there, missing) = (there.clone(), missing.clone());
            return Err(ArraysProblem::Alone { there, missing, found: self.found() }.into());
        }
        let mut archive = Archive::open(&self.bytes)?;
        let mut budget = MemoryBudget::new(self.bytes.len(), MemoryBudget::PACKED);
        let (x, y) = pair(&mut archive, &mut budget, x_train, y_train, kind)?;
        let test = match has_test {
            true => {
                let kind = Some(y.kind());
                Some(pair(&mut archive, &mut budget, x_test, y_test, kind)?)
            }
            false => None,
        };
        let (test_x, test_y) = test.unzip();
        let ((y, test_y), mut notes) = named(y, test_y)?;
        let of = |x: Features, y: Targets, keys: [&String; 2]| {
            let pair = keys.map(String::as_str).join(" and ");
            Dataset::from_arrays(x, y)
                .map_err(|error| Failure::Data(inside(error, &self.path, pair)))
        };
        let mut train = of(x, y, [x_train, y_train])?;
        if let Some(key) = w_train {
            let weights = weights(&mut archive, &mut budget, key)?;
            train = train.with_sample_weights(&weights).map_err(|error| {
                Failure::Data(inside(error, &self.path, format!("{x_train} and {key}")))
            })?;
        }
        let test = match test_x.zip(test_y) {
            Some((x, y)) => Some(of(x, y, [x_test, y_test])?),
            None => None,
        };
        if let Some(test) = &test {
            check_alike(&train, test)?;
        }
        let used = [Some(x_train), Some(y_train), Some(x_test), Some(y_test), w_train.as_ref()];
        let others: Vec<&str> = self
            .names
            .iter()
            .filter(|name| !used.contains(&Some(*name)))
            .map(String::as_str)
            .collect();
        if !others.is_empty() {
            notes.push(format!("arrays that are not used: {}", others.join(", ")));
        }
        Ok(Arrays { train, test, notes })
    }

    fn missing(&self, key: &str, option: &'static str) -> ArraysProblem {
        ArraysProblem::Missing { key: key.to_owned(), found: self.found(), option }
    }

    fn source(&self, request: &ArraysRequest) -> Result<Source, DataError> {
        let absolute = path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let name = |part: Option<&std::ffi::OsStr>| {
            part.unwrap_or_default().to_string_lossy().into_owned()
        };
        let file = SourceFile { name: name(absolute.file_name()), sha256: self.sha256.clone() };
        Ok(Source {
            name: name(absolute.file_stem()),
            dir: absolute.parent().map(Path::to_owned),
            notice: None,
            classes: None,
            arrays: Some(request.options()),
            files: vec![file],
        })
    }
}

/// Why arrays could not be read: the path is added to the first kind.
enum Failure {
    Problem(ArraysProblem),
    Data(DataError),
}

impl<T: Into<ArraysProblem>> From<T> for Failure {
    fn from(problem: T) -> Self {
        Self::Problem(problem.into())
    }
}

/// Reads a whole file.
fn whole(path: &Path) -> Result<Vec<u8>, DataError> {
    let (file, length) = ordinary(path)?;
    let bytes = reserved(usize::try_from(length).unwrap_or(usize::MAX));
    let mut bytes = bytes.map_err(|bytes| {
        let problem = FormatProblem::Memory { bytes }.into();
        DataError::Arrays { path: path.to_owned(), problem }
    })?;
    // It may have grown since.
    file.take(length).read_to_end(&mut bytes).map_err(|source| DataError::read(path, source))?;
    Ok(bytes)
}

/// Adds the file and its arrays to an error of a data set.
fn inside(error: DataError, path: &Path, arrays: String) -> DataError {
    match error {
        DataError::Dataset(problem) => {
            DataError::InArrays { path: path.to_owned(), arrays, problem }
        }
        other => other,
    }
}

/// An array with its name.
struct Part {
    key: String,
    array: Array,
}

/// Targets before their names are known.
enum Unnamed {
    Classes(Vec<u8>),
    Labels(Vec<u8>, usize),
    Numbers(Vec<f32>, usize),
}

impl Unnamed {
    fn kind(&self) -> TargetKind {
        match self {
            Self::Classes(_) => TargetKind::Class,
            Self::Labels(..) => TargetKind::Labels,
            Self::Numbers(..) => TargetKind::Numbers,
        }
    }
}

fn pair(
    archive: &mut Archive,
    budget: &mut MemoryBudget,
    x: &str,
    y: &str,
    kind: Option<TargetKind>,
) -> Result<(Features, Unnamed), ArraysProblem> {
    let mut part = |key: &str| {
        let bytes = archive.read(&format!("{key}.npy"), budget)?;
        Ok::<_, ArraysProblem>(Part { key: key.to_owned(), array: array(key, bytes, budget)? })
    };
    let (x, y) = (part(x)?, part(y)?);
    check_counts(&x, &y)?;
    Ok((x.features(budget)?, y.targets(kind, budget)?))
}

/// Reads the weights of samples, one number each.
fn weights(
    archive: &mut Archive,
    budget: &mut MemoryBudget,
    key: &str,
) -> Result<Vec<f32>, ArraysProblem> {
    let bytes = archive.read(&format!("{key}.npy"), budget)?;
    let part = Part { key: key.to_owned(), array: array(key, bytes, budget)? };
    match part.array.shape[..] {
        [_] => Ok(part.array.numbers.into_floats(budget)?),
        _ => Err(part.shape_error("[samples] if it holds weights of samples")),
    }
}

fn check_counts(x: &Part, y: &Part) -> Result<(), ArraysProblem> {
    let count = |part: &Part| part.array.shape.first().copied();
    match (count(x), count(y)) {
        // What has no axis is refused with its shape.
        (Some(samples), Some(targets)) if samples != targets => {
            Err(ArraysProblem::Counts { x: x.key.clone(), samples, y: y.key.clone(), targets })
        }
        _ => Ok(()),
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
        return Err(differ("targets", [a, b].map(|count| format!("{count} for each sample"))));
    }
    Ok(())
}

impl Part {
    fn shape_error(&self, rule: &'static str) -> ArraysProblem {
        ArraysProblem::Shape { key: self.key.clone(), rule, shape: self.array.shape.clone() }
    }

    /// Returns the array as samples.
    fn features(self, budget: &mut MemoryBudget) -> Result<Features, ArraysProblem> {
        let [samples, sample @ ..] = &self.array.shape[..] else {
            return Err(self.shape_error("[samples, …]"));
        };
        let shape = if sample.is_empty() { vec![1] } else { sample.to_vec() };
        match self.array.numbers {
            Numbers::U8(pixels) if shape.len() > 1 => {
                Ok(pictures(pixels, *samples, shape, budget)?)
            }
            numbers => Ok(Features::floats(numbers.into_floats(budget)?, shape)),
        }
    }

    /// Returns the array as targets of this kind, or of the kind that its type and shape suggest.
    fn targets(
        self,
        kind: Option<TargetKind>,
        budget: &mut MemoryBudget,
    ) -> Result<Unnamed, ArraysProblem> {
        let columns = match self.array.shape[..] {
            [samples] if samples > 0 => 1,
            [samples, columns] if samples > 0 && columns > 0 => columns,
            _ => return Err(self.shape_error("[samples] or [samples, targets], neither of them 0")),
        };
        let kind = match kind {
            Some(kind) => kind,
            None => self.suggested()?,
        };
        let Self { key, array: Array { numbers, shape } } = self;
        let value = |rule| {
            let (key, shape) = (key.clone(), shape.clone());
            move |(at, found)| {
                let place = read::place(at, &shape, false);
                ArraysProblem::Value { key, rule, found, place }
            }
        };
        match kind {
            TargetKind::Class if columns == 1 => {
                const RULE: &str = "classes are whole numbers from 0 to 255 (if these are for regression, add \
                                    --task numbers)";
                Ok(Unnamed::Classes(numbers.into_bytes(u8::MAX).map_err(value(RULE))?))
            }
            TargetKind::Class => Err(ArraysProblem::Shape {
                key,
                rule: "[samples] or [samples, 1] if it holds classes (numpy.argmax(y, 1), if these are one-hot)",
                shape,
            }),
            TargetKind::Labels => {
                const RULE: &str = "several labels are 0 or 1 each (if these are for regression, add --task \
                                    numbers)";
                Ok(Unnamed::Labels(numbers.into_bytes(1).map_err(value(RULE))?, columns))
            }
            TargetKind::Numbers => Ok(Unnamed::Numbers(numbers.into_floats(budget)?, columns)),
        }
    }

    /// Returns the kind of target that the type and shape suggest.
    fn suggested(&self) -> Result<TargetKind, ArraysProblem> {
        let is_column = matches!(self.array.shape[..], [_] | [_, 1]);
        match &self.array.numbers {
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

/// Names the targets of both parts alike, and returns notes.
#[expect(clippy::type_complexity, reason = "a pair and notes, used twice")]
fn named(
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
