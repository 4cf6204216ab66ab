//! A folder of IDX files as a data set.

use std::path::{Path, PathBuf};
use std::thread;

use super::catalog::{self, DatasetName};
use super::check_arrays::first_outside;
use super::check_label_count::check_counts;
use super::dataset::Dataset;
use super::error::{DataError, FolderProblem};
use super::find_files::{self, Files, Role};
use super::idx::{self, Digests, Images};
use super::label_numbering::{self, Labels, Numbering, PartLabels};
use super::{IdxProblem, Preparation, class_names, image_preparation};

/// The contents of a folder.
pub(super) struct Folder {
    /// The folder that holds the files: the one that was named, or one below it.
    pub dir: PathBuf,
    pub train: Dataset,
    pub test: Dataset,
    /// Path and digests of each of the four, in the order of [`Role::ALL`].
    pub files: Vec<(PathBuf, Digests)>,
    /// The known data set that all four files belong to.
    pub known: Option<DatasetName>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// The test part of a folder.
pub(super) struct TestFolder {
    pub dir: PathBuf,
    pub test: Dataset,
    /// Path and digests of both files: images and labels.
    pub files: Vec<(PathBuf, Digests)>,
    pub known: Option<DatasetName>,
    pub notes: Vec<String>,
}

/// Images with their labels, as they are in two files.
struct Part {
    images: Images,
    labels: Vec<u8>,
    files: [(PathBuf, Digests); 2],
}

/// Reads the data set in `folder`, its files in parallel. Without a `classes.txt` the classes are
/// those of the known data set that the files belong to, or else of the `expected` one.
pub(super) fn load(folder: &Path, expected: Option<DatasetName>) -> Result<Folder, DataError> {
    let Files { dir, paths } = find_files::files(folder, &Role::ALL)?;
    let given = class_names::read(&dir)?;
    let described = image_preparation::read(&dir)?;
    let (train, test) = thread::scope(|scope| {
        let train = scope.spawn(|| read(&paths[0], &paths[1]));
        let test = read(&paths[2], &paths[3]);
        (joined(train, &paths[0]), test)
    });
    let (train, test) = (train?, test?);
    let [train_shape, test_shape] = [&train, &test].map(|part| part.images.shape);
    if train_shape != test_shape {
        let (train, test) = (train_shape, test_shape);
        return Err(DataError::folder(&dir, FolderProblem::Shapes { train, test }));
    }
    let files = [train.files.clone(), test.files.clone()].concat();
    let known = recognize(&files);
    let labels = PartLabels { train: Labels::of(&train.labels), test: Labels::of(&test.labels) };
    let numbering = label_numbering::number(&labels, given, known.or(expected));
    if let [only] = &numbering.names[..] {
        let problem = FolderProblem::OneClass(only.clone());
        return Err(DataError::folder(&train.files[1].0, problem));
    }
    let notes = moved(folder, &dir).into_iter().chain(numbering.notes.clone()).collect();
    let preparation = preparation_of(described, known.or(expected));
    let of =
        |part: Part| Ok::<_, DataError>(part.dataset(&numbering)?.with_preparation(preparation));
    let (train, test) = (of(train)?, of(test)?);
    Ok(Folder { dir, train, test, files, known, notes })
}

/// Reads the test part of the data set in `folder`. Of a training part that is there it reads only the labels,
/// which show how classes are numbered.
pub(super) fn load_test(folder: &Path) -> Result<TestFolder, DataError> {
    let Files { dir, paths } = find_files::files(folder, &Role::TEST)?;
    let given = class_names::read(&dir)?;
    let test = read(&paths[0], &paths[1])?;
    let mut labels = PartLabels { train: Labels::of(&[]), test: Labels::of(&test.labels) };
    if let Some(path) = Role::TrainLabels.find(&dir).ok().flatten() {
        labels.train = Labels::of(&idx::read_labels(&path)?.values);
    }
    let files = test.files.to_vec();
    let known = recognize_test(&files);
    let mut numbering = label_numbering::number(&labels, given, known);
    pad(&mut numbering.names);
    let notes = moved(folder, &dir).into_iter().chain(numbering.notes.clone()).collect();
    let preparation = preparation_of(image_preparation::read(&dir)?, known);
    let test = test.dataset(&numbering)?.with_preparation(preparation);
    Ok(TestFolder { dir, test, files, known, notes })
}

/// Adds a second class to test images that all have the same one: a data set has at least two.
pub(super) fn pad(names: &mut Vec<String>) {
    if let [only] = &names[..] {
        names.push(only.parse().map_or(0, |label: u16| label + 1).to_string());
    }
}

/// Returns the note about files that are not in the folder that was named, but in one below it.
pub(super) fn moved(named: &Path, dir: &Path) -> Option<String> {
    let note = || {
        format!("the files in {} are used, the only data set in {}", dir.display(), named.display())
    };
    (dir != named).then(note)
}

fn read(images_file: &Path, labels_file: &Path) -> Result<Part, DataError> {
    let images = idx::read_images(images_file)?;
    let labels = idx::read_labels(labels_file)?;
    check_counts(images.count, labels.values.len(), images_file, labels_file)?;
    let files =
        [(images_file.into(), images.digests.clone()), (labels_file.into(), labels.digests)];
    Ok(Part { images, labels: labels.values, files })
}

impl Part {
    fn dataset(mut self, numbering: &Numbering) -> Result<Dataset, DataError> {
        let (shape, path) = (self.images.shape, &self.files[1].0);
        check_labels(&self.labels, numbering, path)?;
        self.labels.iter_mut().for_each(|label| *label -= numbering.first);
        Dataset::new(self.images.pixels, shape, self.labels, numbering.names.clone())
    }
}

/// Checks that each label has a name.
pub(super) fn check_labels(
    labels: &[u8],
    Numbering { names, first, .. }: &Numbering,
    path: &Path,
) -> Result<(), DataError> {
    let Some(sample) = first_outside(labels, names.len() + usize::from(*first)) else {
        return Ok(());
    };
    let (label, classes) = (labels[sample], names.len());
    Err(DataError::folder(path, FolderProblem::Label { sample, label, classes }))
}

fn joined(
    handle: thread::ScopedJoinHandle<'_, Result<Part, DataError>>,
    path: &Path,
) -> Result<Part, DataError> {
    // A reader that panics would be a bug; it still ends as an error that names the file.
    handle.join().unwrap_or_else(|_| {
        let problem = IdxProblem::Other("a file that the reader stumbled over: please report it");
        Err(DataError::Idx { path: path.to_owned(), problem })
    })
}

/// Returns the data set that all four files belong to by their digests.
pub(super) fn recognize(files: &[(PathBuf, Digests)]) -> Option<DatasetName> {
    recognize_from(0, files)
}

/// Returns the data set that both test files belong to by their digests.
pub(super) fn recognize_test(files: &[(PathBuf, Digests)]) -> Option<DatasetName> {
    recognize_from(2, files)
}

fn recognize_from(first: usize, files: &[(PathBuf, Digests)]) -> Option<DatasetName> {
    let is_it = |entry: &&catalog::Entry| {
        let known = entry.files.get(first..).unwrap_or_default();
        known.len() == files.len()
            && !files.is_empty()
            && known.iter().zip(files).all(|(known, (_, found))| known.is(found))
    };
    catalog::all().iter().find(is_it).map(|entry| entry.name)
}

/// Returns the preparation recorded in the folder, else that of the known data set, else `Raw`.
pub(super) fn preparation_of(
    described: Option<Preparation>,
    known: Option<DatasetName>,
) -> Preparation {
    described.or(known.map(|name| name.entry().preparation)).unwrap_or_default()
}
