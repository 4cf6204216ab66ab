//! A folder of IDX files as a data set.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::catalog::{self, DatasetName};
use super::dataset::{Dataset, first_outside};
use super::error::{DataError, FolderProblem};
use super::idx::{self, Digests, Images};
use super::{IdxProblem, Preparation, classes, preparation, stream};

/// The four files, in the order in which they are listed everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    TrainImages,
    TrainLabels,
    TestImages,
    TestLabels,
}

impl Role {
    pub const ALL: [Role; 4] =
        [Role::TrainImages, Role::TrainLabels, Role::TestImages, Role::TestLabels];

    pub fn is_images(self) -> bool {
        matches!(self, Role::TrainImages | Role::TestImages)
    }

    /// The names it may have. The first that exists counts: a plain file before a compressed one,
    /// which takes longer to read.
    pub fn names(self) -> Vec<String> {
        let parts: &[&str] = match self {
            Role::TrainImages | Role::TrainLabels => &["train"],
            Role::TestImages | Role::TestLabels => &["t10k", "test"],
        };
        let (what, rank) = if self.is_images() { ("images", 3) } else { ("labels", 1) };
        let mut names = Vec::new();
        for part in parts {
            for separator in ["-", "."] {
                for end in ["", ".gz"] {
                    names.push(format!("{part}-{what}{separator}idx{rank}-ubyte{end}"));
                }
            }
        }
        names
    }

    /// Whether `folder` has all four files.
    pub fn all_in(folder: &Path) -> bool {
        Role::ALL.iter().all(|role| role.find(folder).is_some())
    }

    /// The file in `folder`, `None` if it has none.
    pub fn find(self, folder: &Path) -> Option<PathBuf> {
        self.names().iter().map(|name| folder.join(name)).find(|path| path.exists())
    }
}

/// What a folder holds.
pub(super) struct Folder {
    pub train: Dataset,
    pub test: Dataset,
    /// Path and digests of each of the four, in the order of [`Role::ALL`].
    pub files: Vec<(PathBuf, Digests)>,
    /// The known data set that all four files belong to.
    pub known: Option<DatasetName>,
}

/// Reads the data set in `folder`, its files side by side. Without a `classes.txt` the classes are
/// those of the known data set that the files are, or else of the `expected` one.
pub(super) fn load(folder: &Path, expected: Option<DatasetName>) -> Result<Folder, DataError> {
    let [train_images, train_labels, test_images, test_labels] = find_all(folder)?;
    let names = classes::read(folder)?;
    let described = preparation::read(folder)?;
    let ((train, train_values), (test, test_values)) = thread::scope(|scope| {
        // Labels are small: they are read on this thread.
        let train = scope.spawn(|| idx::read_images(&train_images));
        let test = scope.spawn(|| idx::read_images(&test_images));
        let labels = idx::read_labels(&train_labels)
            .and_then(|train| Ok((train, idx::read_labels(&test_labels)?)));
        let (train, test) = (joined(train, &train_images)?, joined(test, &test_images)?);
        let (train_values, test_values) = labels?;
        Ok::<_, DataError>(((train, train_values), (test, test_values)))
    })?;

    check_counts(train.count, train_values.values.len(), &train_images, &train_labels)?;
    check_counts(test.count, test_values.values.len(), &test_images, &test_labels)?;
    let [train_shape, test_shape] = [&train, &test].map(|images| [images.height, images.width]);
    if train_shape != test_shape {
        let (train, test) = (train_shape, test_shape);
        return Err(DataError::folder(folder, FolderProblem::Shapes { train, test }));
    }
    let files = vec![
        (train_images, train.digests),
        (train_labels.clone(), train_values.digests),
        (test_images, test.digests),
        (test_labels.clone(), test_values.digests),
    ];
    let known = recognise(&files);
    let preparation = preparation_of(described, known.or(expected));
    let names = match (names, known.or(expected)) {
        (Some(names), _) => names,
        (None, Some(known)) => known.entry().classes.iter().map(ToString::to_string).collect(),
        (None, None) => numbers(&train_values.values, &test_values.values),
    };
    for (values, path) in
        [(&train_values.values, &train_labels), (&test_values.values, &test_labels)]
    {
        if let Some(sample) = first_outside(values, names.len()) {
            let (label, classes) = (values[sample], names.len());
            let problem = FolderProblem::Label { sample, label, classes };
            return Err(DataError::folder(path, problem));
        }
    }
    if names.len() < 2 {
        return Err(DataError::folder(&train_labels, FolderProblem::OneClass));
    }
    let train = Dataset::new(train.pixels, train_shape, train_values.values, names.clone())?
        .with_preparation(preparation);
    let test = Dataset::new(test.pixels, test_shape, test_values.values, names)?
        .with_preparation(preparation);
    Ok(Folder { train, test, files, known })
}

fn find_all(folder: &Path) -> Result<[PathBuf; 4], DataError> {
    // Says first whether the folder is there and may be read.
    let holds = listing(folder).map_err(|source| DataError::read(folder, source))?;
    let find = |role: Role| {
        role.find(folder).ok_or_else(|| {
            let wanted = role.names().swap_remove(0);
            let problem = match stream::has_shards(folder) {
                true => FolderProblem::Shards,
                false => FolderProblem::Missing { wanted, holds: holds.clone() },
            };
            DataError::folder(folder, problem)
        })
    };
    let [a, b, c, d] = Role::ALL;
    Ok([find(a)?, find(b)?, find(c)?, find(d)?])
}

/// What a folder holds, in words.
pub(super) fn listing(folder: &Path) -> io::Result<String> {
    const SHOWN: usize = 12;
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(match names.len() {
        0 => "is empty".to_owned(),
        1..=SHOWN => format!("holds {}", names.join(", ")),
        more => format!("holds {} and {} more", names[..SHOWN].join(", "), more - SHOWN),
    })
}

fn joined(
    handle: thread::ScopedJoinHandle<'_, Result<Images, DataError>>,
    path: &Path,
) -> Result<Images, DataError> {
    // A reader that panics would be a bug; it still ends as an error that names the file.
    handle.join().unwrap_or_else(|_| {
        let problem = IdxProblem::Other("a file that the reader stumbled over: please report it");
        Err(DataError::Idx { path: path.to_owned(), problem })
    })
}

/// Checks that two files have as many images as labels.
pub(super) fn check_counts(
    images: usize,
    labels: usize,
    images_file: &Path,
    labels_file: &Path,
) -> Result<(), DataError> {
    if images == labels {
        return Ok(());
    }
    let labels_file = labels_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(DataError::folder(images_file, FolderProblem::Counts { images, labels, labels_file }))
}

/// The data set that all files belong to by their digests.
pub(super) fn recognise(files: &[(PathBuf, Digests)]) -> Option<DatasetName> {
    let is_it = |entry: &&catalog::Entry| {
        entry.files.len() == files.len()
            && (entry.files.iter().zip(files))
                .all(|(known, (_, found))| known.matches(&found.file, &found.contents))
    };
    catalog::all().iter().find(is_it).map(|entry| entry.name)
}

/// Returns what the folder says, else what is known of the data set that it is, else `Raw`.
pub(super) fn preparation_of(
    described: Option<Preparation>,
    known: Option<DatasetName>,
) -> Preparation {
    described.or(known.map(|name| name.entry().preparation)).unwrap_or_default()
}

/// "0" to the highest label.
pub(super) fn numbers(train: &[u8], test: &[u8]) -> Vec<String> {
    let highest = train.iter().chain(test).max().copied().unwrap_or(0);
    (0..=highest).map(|class| class.to_string()).collect()
}
