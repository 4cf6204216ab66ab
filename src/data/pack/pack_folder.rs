//! A folder of pictures made into a data set.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::class_folders::Classes;
use super::folder_layout::{self, Layout};
use super::problem::PackProblem;
use super::walk_class_folders::{Picture, Walk};
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::{Preparation, images};

/// How pictures are converted to images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PackConfig {
    /// [height, width] of the images.
    pub shape: [usize; 2],
    /// The fraction of each class that is for testing, if the folder does not have its own `train` and
    /// `test`: above 0 and below 1.
    pub test_share: f64,
    /// Selects the test pictures.
    pub seed: u64,
    /// How pictures are converted to images, which is saved with the data set: `seqfit predict` does the
    /// same with its input.
    pub preparation: Preparation,
    /// Leave out pictures that cannot be used.
    pub skip: bool,
}

impl Default for PackConfig {
    fn default() -> Self {
        let preparation = Preparation::Digit;
        Self { shape: [28, 28], test_share: 0.2, seed: 0, preparation, skip: false }
    }
}

/// The result of packing a folder of pictures.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The training images.
    pub train: Dataset,
    /// The test images.
    pub test: Dataset,
    /// Pictures that could not be used, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// The number of files that are not pictures, by their names.
    pub others: usize,
    /// The role of each folder, and the files left out, in sentences.
    pub notes: Vec<String>,
}

impl Packed {
    /// Returns the number of images in total.
    pub fn images(&self) -> usize {
        self.train.len() + self.test.len()
    }
}

/// Reads `folder`, which has a folder of pictures for each class, at any depth; or folders for training, testing
/// and validation, which have those. Classes are sorted by name, numbers by value, and matched by name between the
/// parts.
/// `progress` is called with the number of pictures that are done and the total, from this thread.
///
/// # Errors
/// A folder that is laid out differently, or a picture that cannot be used (unless those are skipped).
pub fn from_pictures(
    folder: &Path,
    config: &PackConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    pack(folder, config, &|_| config.skip, progress)
}

/// Decides whether a picture that cannot be used is skipped.
type Skips<'a> = &'a (dyn Fn(&DataError) -> bool + Sync);

pub(super) fn pack(
    folder: &Path,
    config: &PackConfig,
    skips: Skips<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    let layout = folder_layout::find(folder)?;
    let mut walk = Walk::new(&layout)?;
    let pictures = [walk.pictures(&layout.train)?, walk.pictures(layout.test.as_slice())?];
    let Layout { train, test, mut notes, beside, .. } = layout;
    walk.add_beside(beside);
    let left_out = walk.left_out;
    let names = train.first().map(Classes::names).unwrap_or_default();
    let mut skipped = Vec::new();
    let mut read = |parts: &[Classes], pictures: &[Picture], needed| {
        let (dataset, bad) = load(pictures, &names, config, skips, progress)?;
        skipped.extend(bad);
        let counts = dataset.as_ref().map(Dataset::class_counts).unwrap_or_default();
        check_counts(parts, &counts, needed, &left_out.notes())?;
        let none = || PackProblem::TooFew { needed, found: 0, left_out: left_out.notes() };
        dataset.ok_or_else(|| DataError::pack(folder, none()))
    };
    let [train_pictures, test_pictures] = pictures;
    let (train, test) = match test {
        Some(test) => (read(&train, &train_pictures, 1)?, read(&[test], &test_pictures, 1)?),
        // One to train on and one to test on.
        None => read(&train, &train_pictures, 2)?.split(config.test_share, config.seed)?,
    };
    notes.extend(left_out.notes());
    Ok(Packed { train, test, skipped, others: left_out.others, notes })
}

/// Checks that each class has enough pictures; the error names its folder.
fn check_counts(
    parts: &[Classes],
    counts: &[usize],
    needed: usize,
    left_out: &[String],
) -> Result<(), DataError> {
    for class in parts.first().map(|part| &part.classes[..]).unwrap_or_default() {
        let found = counts.get(usize::from(class.label)).copied().unwrap_or_default();
        if found < needed {
            let too_few = PackProblem::TooFew { needed, found, left_out: left_out.to_vec() };
            return Err(DataError::pack(&class.path, too_few));
        }
    }
    Ok(())
}

/// Returns the pictures as a data set, none if there are none, and those that were skipped.
#[expect(clippy::type_complexity, reason = "two lists, used once")]
fn load(
    pictures: &[Picture],
    names: &[String],
    config: &PackConfig,
    skips: Skips<'_>,
    told: &mut dyn FnMut(usize, usize),
) -> Result<(Option<Dataset>, Vec<(PathBuf, String)>), DataError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(picture) = pictures.get(i) else { return done };
            let read = images::read_picture(&picture.path, config.shape, config.preparation);
            // The first one that is not skipped ends the loop.
            if read.as_ref().is_err_and(|error| !skips(error)) {
                next.store(pictures.len(), Ordering::Relaxed);
            }
            done.push((i, read));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut read = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            told(next.load(Ordering::Relaxed).min(pictures.len()), pictures.len());
            thread::sleep(std::time::Duration::from_millis(20));
        }
        // A reader that panics is a bug: resume the panic.
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect::<Vec<_>>()
    });
    told(pictures.len(), pictures.len());
    // Restore the order of the pictures, whichever thread read them.
    read.sort_by_key(|(i, _)| *i);
    let (mut pixels, mut labels, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for (i, image) in read {
        match image {
            Ok(image) => {
                pixels.extend(image);
                labels.push(pictures[i].class);
            }
            Err(error) if skips(&error) => {
                skipped.push((pictures[i].path.clone(), error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    if labels.is_empty() {
        return Ok((None, skipped));
    }
    let dataset = Dataset::new(pixels, config.shape, labels, names.to_vec())?;
    Ok((Some(dataset.with_preparation(config.preparation)), skipped))
}
