//! Writing a data set into a folder, for `load_dir` or `stream_dir` to read.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::Path;

use super::dataset::Dataset;
use super::error::{DataError, FolderProblem};
use super::find_files::Role;
use super::picture_shape::PictureShape;
use super::stream::{Part, StreamProblem};
use super::{class_names, idx, image_preparation};
use crate::atomic_files;

/// Writes a data set into `folder`, which is new or empty: four IDX files, `classes.txt` and
/// `dataset.toml`, which records how pictures were converted to these images; all or none.
///
/// # Errors
/// Samples that are not pictures with classes; a folder that is not empty, or that cannot be written.
pub fn save_dir(train: &Dataset, test: &Dataset, folder: &Path) -> Result<(), DataError> {
    let PictureShape { color, .. } = check([train, test])?;
    let names = |roles: [Role; 2]| roles.map(|role| role.name(color));
    save(folder, train, |growing| {
        let train_names = names([Role::TrainImages, Role::TrainLabels]);
        let test_names = names([Role::TestImages, Role::TestLabels]);
        growing.pair(train, 0..train.len(), train_names, &mut |_| {})?;
        growing.pair(test, 0..test.len(), test_names, &mut |_| {})
    })
}

/// Like [`save_dir`], but in shards for [`stream_dir`](super::stream_dir()), whose numbers of samples differ
/// by at most one: `shards` of the training part, and of the test part the number that makes them about as
/// large. `progress` is called with the number of images that are written and the total.
///
/// # Errors
/// Like [`save_dir`], and more shards than samples, or none.
pub fn save_shards(
    train: &Dataset,
    test: &Dataset,
    shards: usize,
    folder: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(), DataError> {
    check([train, test])?;
    let samples = train.len();
    if !(1..=samples).contains(&shards) {
        let problem = StreamProblem::Shards { samples, found: shards };
        return Err(DataError::Stream { path: folder.to_owned(), problem });
    }
    let of_test = shards.saturating_mul(test.len()).div_ceil(samples).clamp(1, test.len().max(1));
    let (mut written, all) = (0, samples + test.len());
    save(folder, train, |growing| {
        for (part, dataset, count) in [(Part::Train, train, shards), (Part::Test, test, of_test)] {
            let cut = |number: usize| dataset.len() * number / count;
            for number in 0..count {
                let range = cut(number)..cut(number + 1);
                growing.pair(dataset, range, part.shard(number, count), &mut |more| {
                    written += more;
                    progress(written, all);
                })?;
            }
        }
        Ok(())
    })
}

/// Checks that data sets can be written as IDX files: pictures and classes. Returns the shape of the first.
fn check(parts: [&Dataset; 2]) -> Result<PictureShape, DataError> {
    const USER: &str = "a folder of IDX files";
    let [train, test] = parts.map(|part| {
        let shape = part.any_pictures_for(USER)?;
        part.classes_for(USER).map(|_| shape)
    });
    train.and_then(|train| test.map(|_| train))
}

/// A folder that is being written, and has another name until it is complete.
struct Growing<'a> {
    now: &'a Path,
    then: &'a Path,
}

impl Growing<'_> {
    /// Writes some samples: images and labels. `written` is called with the numbers of images that are done.
    fn pair(
        &self,
        dataset: &Dataset,
        samples: Range<usize>,
        [images, labels]: [String; 2],
        written: &mut dyn FnMut(usize),
    ) -> Result<(), DataError> {
        let at = |source| DataError::write(&self.then.join(&images), source);
        let mut file = File::create(self.now.join(&images)).map_err(at)?;
        let mut sizes = dataset.any_pictures_for("this")?.sample_shape();
        sizes.insert(0, samples.len());
        let sizes: Vec<u32> = sizes.into_iter().map(|size| size as u32).collect();
        file.write_all(&idx::header(&sizes)).map_err(at)?;
        dataset.read_in_parts(samples.clone(), |pixels| {
            written(pixels.len() / dataset.sample_len());
            file.write_all(pixels).map_err(at)
        })?;
        file.sync_all().map_err(at)?;
        let values: Vec<u8> = samples.map(|i| dataset.label(i)).collect();
        self.write(&labels, &idx::encode_labels(&values))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        atomic_files::write(&self.now.join(name), bytes)
            .map_err(|error| DataError::write(&self.then.join(name), error.source))
    }
}

/// Writes a folder, which is new or empty: the output of `fill`, `classes.txt` and `dataset.toml`, all or none.
fn save(
    folder: &Path,
    dataset: &Dataset,
    fill: impl FnOnce(&Growing) -> Result<(), DataError>,
) -> Result<(), DataError> {
    check_free(folder)?;
    let names = class_names::encode(dataset.classes())?;
    let at = |source| DataError::write(folder, source);
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(at)?;
    let growing = tempfile::Builder::new().prefix(".seqfit-").suffix(".part").tempdir_in(parent);
    let growing = growing.map_err(at)?;
    let place = Growing { now: growing.path(), then: folder };
    fill(&place)?;
    place.write(class_names::FILE, &names)?;
    place.write(image_preparation::FILE, dataset.preparation().to_toml().as_bytes())?;
    // A folder that only its owner can read would be a surprise.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let like = fs::metadata(parent).map_err(at)?.permissions().mode();
        let mode = fs::Permissions::from_mode(like & 0o777);
        fs::set_permissions(growing.path(), mode).map_err(at)?;
    }
    fs::rename(growing.path(), folder).map_err(at)?;
    // It has its final name now, and stays.
    let _ = growing.keep();
    Ok(())
}

/// Checks that a data set can be written here.
///
/// # Errors
/// [`FolderProblem::Occupied`], or a folder that cannot be read.
pub fn check_free(folder: &Path) -> Result<(), DataError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(DataError::folder(folder, FolderProblem::Occupied("is a file")))
        }
        Err(source) => Err(DataError::read(folder, source)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(DataError::folder(folder, FolderProblem::Occupied("is not empty"))),
        },
    }
}
