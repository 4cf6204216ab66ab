//! EMNIST's six sets as NIST publishes them: IDX files in gzip, all in one zip archive, or unpacked. The rows and columns
//! of their images are swapped, as torchvision and TensorFlow Datasets note; here they come out upright.
//!
//! The archive itself was not at hand when this was written: only its published checksum is known, and that its files
//! have these names, which torchvision reads.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::result::ZipError;

use super::catalog::DatasetName;
use super::check_label_count::check_counts;
use super::cifar_files::Place;
use super::dataset::Dataset;
use super::emnist_files::{self, names_of};
use super::emnist_problem::EmnistProblem;
use super::error::DataError;
use super::find_files::{self, Role};
use super::idx::{self, Digests};
use super::idx_folder::Folder;
use super::open_file::ordinary;

/// Note on files that are not in the published archive, which may have been turned already.
const TRANSPOSED: &str = "EMNIST's files have the rows and columns of their images swapped, so these images were \
                          transposed: if yours are upright already, name the files as MNIST's";

/// The files of a place, opened.
enum Files<'a> {
    Folder(&'a Path),
    /// With its path, and its length in bytes.
    Archive(&'a Path, u64, ZipArchive<BufReader<File>>),
}

/// A part of a set, and its files.
type Part = (Dataset, [(PathBuf, Digests); 2]);

/// Returns the sets that have files in a place.
///
/// # Errors
/// An archive that cannot be read.
pub(super) fn sets_in(place: &Place) -> Result<Vec<DatasetName>, DataError> {
    Ok(match Files::open(place)? {
        Files::Folder(folder) => emnist_files::sets_in(folder),
        Files::Archive(_, _, zip) => emnist_files::sets_of(&last_names(&zip)),
    })
}

/// Reads both parts of a set from the files in `folder`, which are in `place`.
///
/// # Errors
/// A file that is missing or is not IDX, images of another size, a label without a class.
pub(super) fn load(folder: &Path, place: &Place, set: DatasetName) -> Result<Folder, DataError> {
    let mut files = Files::open(place)?;
    let (train, train_files) = files.part(set, [Role::TrainImages, Role::TrainLabels])?;
    let (test, test_files) = files.part(set, [Role::TestImages, Role::TestLabels])?;
    let notes = match place {
        Place::Folder(_) => vec![TRANSPOSED.to_owned()],
        Place::Archive(_) => Vec::new(),
    };
    let files = train_files.into_iter().chain(test_files).collect();
    Ok(Folder { dir: folder.to_owned(), train, test, files, known: Some(set), notes })
}

impl<'a> Files<'a> {
    fn open(place: &'a Place) -> Result<Self, DataError> {
        let path = match place {
            Place::Folder(folder) => return Ok(Self::Folder(folder)),
            Place::Archive(path) => path,
        };
        let (file, length) = ordinary(path)?;
        let zip = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(path, error))?;
        Ok(Self::Archive(path, length, zip))
    }

    fn part(&mut self, set: DatasetName, [images, labels]: [Role; 2]) -> Result<Part, DataError> {
        let (images_file, mut images) =
            self.read(set, images, |input, length, path| idx::images_from(input, length, path))?;
        let (labels_file, mut labels) =
            self.read(set, labels, |input, length, path| idx::labels_from(input, length, path))?;
        check_counts(images.count, labels.values.len(), &images_file, &labels_file)?;
        let (entry, shape) = (set.entry(), images.shape);
        if shape != entry.picture_shape() {
            return Err(at(&images_file, EmnistProblem::Size(shape)));
        }
        turn_upright(&mut images.pixels, entry.image_shape[0]);
        // The letters are numbered from 1.
        let first = u8::from(set == DatasetName::EmnistLetters);
        let classes = entry.classes.len();
        for (sample, label) in labels.values.iter_mut().enumerate() {
            let class = label.checked_sub(first).filter(|&class| usize::from(class) < classes);
            let (label, first) = (label, usize::from(first));
            *label = class.ok_or_else(|| {
                let (label, last) = (*label, first + classes - 1);
                at(&labels_file, EmnistProblem::Label { sample, label, first, last })
            })?;
        }
        let names = entry.classes.iter().map(ToString::to_string).collect();
        let dataset = Dataset::new(images.pixels, shape, labels.values, names)?;
        let files = [(images_file, images.digests), (labels_file, labels.digests)];
        Ok((dataset.with_preparation(entry.preparation), files))
    }

    /// Returns the path of a file, and its content.
    fn read<T>(
        &mut self,
        set: DatasetName,
        role: Role,
        parse: impl Fn(&mut dyn Read, u64, &Path) -> Result<T, DataError>,
    ) -> Result<(PathBuf, T), DataError> {
        let names = names_of(set, role);
        // The second is the name in the archive.
        let missing =
            |place: &Path| at(&place.join(&names[1]), EmnistProblem::Missing { dataset: set });
        match self {
            Self::Folder(folder) => {
                let path = find_files::named_file(folder, &names)?;
                let path = path.ok_or_else(|| missing(folder))?;
                let (mut file, length) = ordinary(&path)?;
                let content = parse(&mut file, length, &path)?;
                Ok((path, content))
            }
            Self::Archive(path, archive_length, zip) => {
                let found = last_names(zip).into_iter().position(|name| name == names[1]);
                let found = found.ok_or_else(|| missing(path))?;
                let mut file = zip.by_index(found).map_err(|error| broken(path, error))?;
                // The reader takes the length of a gzip as a bound of its contents, and this one is only declared.
                let length = file.size().min(*archive_length);
                let name = path.join(&names[1]);
                let content = parse(&mut file, length, &name)?;
                Ok((name, content))
            }
        }
    }
}

/// Returns the names of the files in an archive without their folders, in its order.
fn last_names(zip: &ZipArchive<BufReader<File>>) -> Vec<String> {
    let last = |name: &[u8]| {
        let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    };
    zip.file_names_raw().map(last).collect()
}

fn turn_upright(pixels: &mut [u8], side: usize) {
    for image in pixels.chunks_exact_mut(side * side) {
        for row in 0..side {
            for column in 0..row {
                image.swap(row * side + column, column * side + row);
            }
        }
    }
}

fn broken(path: &Path, error: ZipError) -> DataError {
    match error {
        ZipError::Io(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
            DataError::read(path, source)
        }
        error => at(path, EmnistProblem::Archive(format!("a damaged or other one ({error})"))),
    }
}

fn at(path: &Path, problem: EmnistProblem) -> DataError {
    DataError::Emnist { path: path.to_owned(), problem }
}
