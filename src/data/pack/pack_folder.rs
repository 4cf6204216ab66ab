//! A folder of pictures made into a data set.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::class_folders::Classes;
use super::folder_layout::{self, Layout};
use super::image_cache::Entry;
use super::problem::PackProblem;
use super::read_pictures::{self, Images, PictureFiles, Skips};
use super::walk_class_folders::{LeftOut, Picture, Walk};
use crate::data::Preparation;
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::picture_shape::PictureShape;
use crate::data::stream::memory_limit::StreamMemory;
use crate::free_memory::{TooLittleMemory, check_left};

/// Pictures that are tried at once, so that few images are in memory.
const TRIED_AT_ONCE: usize = 256;

/// How pictures are converted to images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PackConfig {
    /// [height, width] of the images.
    pub shape: [usize; 2],
    /// Whether images are in color, and not gray.
    pub color: bool,
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
        Self { shape: [28, 28], color: false, test_share: 0.2, seed: 0, preparation, skip: false }
    }
}

impl PackConfig {
    fn picture_shape(&self) -> PictureShape {
        PictureShape { color: self.color, ..self.shape.into() }
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
    let found = FoundPictures::of(folder)?;
    found.pack(config, &|_| config.skip, Kept::InMemory(None), progress)
}

/// Where the images of pictures are kept.
#[derive(Clone, Copy)]
pub(in crate::data) enum Kept<'a> {
    /// In memory, and in this cache folder.
    InMemory(Option<&'a Path>),
    /// In their files alone: each is decoded again when it is read.
    InFiles,
}

/// The pictures in a folder, which are not read yet.
pub(super) struct FoundPictures {
    folder: PathBuf,
    train: Vec<Classes>,
    test: Option<Classes>,
    /// Those of both parts.
    pub pictures: [Vec<Picture>; 2],
    notes: Vec<String>,
    left_out: LeftOut,
}

impl FoundPictures {
    /// Lists the pictures in a folder.
    pub fn of(folder: &Path) -> Result<Self, DataError> {
        Self::in_layout(folder, folder_layout::find(folder)?)
    }

    /// Lists the pictures in a folder that has a part to test on and none to train on; none for all others.
    pub fn of_test(folder: &Path) -> Result<Option<Self>, DataError> {
        folder_layout::find_test(folder)?.map(|layout| Self::in_layout(folder, layout)).transpose()
    }

    fn in_layout(folder: &Path, layout: Layout) -> Result<Self, DataError> {
        let mut walk = Walk::new(&layout)?;
        let pictures = [walk.pictures(&layout.train)?, walk.pictures(layout.test.as_slice())?];
        let Layout { train, test, notes, beside, .. } = layout;
        walk.add_beside(beside);
        let (folder, left_out) = (folder.to_owned(), walk.left_out);
        Ok(Self { folder, train, test, pictures, notes, left_out })
    }

    /// Returns whether the test images are to be drawn from the training images.
    pub fn lacks_test(&self) -> bool {
        self.test.is_none()
    }

    /// Reads both parts; images that are in the cache folder are taken from there.
    pub fn pack(
        &self,
        config: &PackConfig,
        skips: Skips<'_>,
        kept: Kept<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Packed, DataError> {
        let [train_pictures, test_pictures] = &self.pictures;
        let mut skipped = Vec::new();
        let mut read = |parts: &[Classes], pictures: &[Picture], needed| {
            let (dataset, bad) = self.load(pictures, config, skips, kept, progress)?;
            skipped.extend(bad);
            self.checked(parts, dataset, needed)
        };
        let (train, test) = match &self.test {
            Some(test) => {
                let train = read(&self.train, train_pictures, 1)?;
                (train, read(std::slice::from_ref(test), test_pictures, 1)?)
            }
            // One to train on and one to test on.
            None => read(&self.train, train_pictures, 2)?.split(config.test_share, config.seed)?,
        };
        let mut notes = self.notes.clone();
        notes.extend(self.left_out.notes());
        Ok(Packed { train, test, skipped, others: self.left_out.others, notes })
    }

    /// Reads all pictures as one data set. Also returns notes on what was left out.
    pub fn whole(
        &self,
        config: &PackConfig,
        cache: Option<&Path>,
    ) -> Result<(Dataset, Vec<String>), DataError> {
        let [pictures, _] = &self.pictures;
        let skips = |_: &DataError| config.skip;
        let (dataset, skipped) =
            self.load(pictures, config, &skips, Kept::InMemory(cache), &mut |_, _| {})?;
        let dataset = self.checked(&self.train, dataset, 1)?;
        let mut notes = [self.notes.clone(), self.left_out.notes()].concat();
        notes.extend(skipped.iter().map(|(_, why)| format!("left out: {why}")));
        Ok((dataset, notes))
    }

    /// Returns the images of some pictures as a data set, none if there are none, and those that were skipped.
    #[expect(clippy::type_complexity, reason = "two lists, used once")]
    fn load(
        &self,
        pictures: &[Picture],
        config: &PackConfig,
        skips: Skips<'_>,
        kept: Kept<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Option<Dataset>, Vec<(PathBuf, String)>), DataError> {
        let (shape, preparation) = (config.picture_shape(), config.preparation);
        let Kept::InMemory(cache) = kept else {
            return self.in_files(pictures, config, skips, progress);
        };
        self.check_memory(pictures.len(), shape)?;
        let entry =
            cache.and_then(|cache| Entry::of(cache, pictures, shape, preparation, progress));
        let kept = entry.as_ref().and_then(Entry::read);
        let Images { pixels, labels, skipped } = match kept {
            Some(pixels) => {
                let labels = pictures.iter().map(|picture| picture.class).collect();
                Images { pixels, labels, skipped: Vec::new() }
            }
            None => {
                let images = read_pictures::read(pictures, shape, preparation, skips, progress)?;
                entry.iter().for_each(|entry| entry.write(&images.pixels));
                images
            }
        };
        if labels.is_empty() {
            return Ok((None, skipped));
        }
        let dataset = Dataset::new(pixels, shape, labels, self.names())?;
        Ok((Some(dataset.with_preparation(preparation)), skipped))
    }

    /// Like [`load`](Self::load), with images that are decoded when they are read. Where some may be left out, or may not
    /// suit the preparation, all are tried before.
    #[expect(clippy::type_complexity, reason = "two lists, used once")]
    fn in_files(
        &self,
        pictures: &[Picture],
        config: &PackConfig,
        skips: Skips<'_>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Option<Dataset>, Vec<(PathBuf, String)>), DataError> {
        let (shape, preparation) = (config.picture_shape(), config.preparation);
        let suits_all = !matches!(preparation, Preparation::Raw | Preparation::Digit);
        let mut skipped = Vec::new();
        if config.skip || !suits_all {
            for (i, some) in pictures.chunks(TRIED_AT_ONCE).enumerate() {
                let done = i * TRIED_AT_ONCE;
                let mut progress = |more, _| progress(done + more, pictures.len());
                let images = read_pictures::read(some, shape, preparation, skips, &mut progress)?;
                skipped.extend(images.skipped);
            }
        }
        let bad: HashSet<&Path> = skipped.iter().map(|(path, _)| &**path).collect();
        let usable = pictures.iter().filter(|picture| !bad.contains(&*picture.path));
        let usable: Vec<Picture> = usable.cloned().collect();
        if usable.is_empty() {
            return Ok((None, skipped));
        }
        let labels = usable.iter().map(|picture| picture.class).collect();
        let files = PictureFiles { pictures: usable, shape, preparation };
        let memory = StreamMemory::default();
        let dataset = Dataset::of_files(files, memory, shape, labels, self.names())?;
        Ok((Some(dataset.with_preparation(preparation)), skipped))
    }

    fn names(&self) -> Vec<String> {
        self.train.first().map(Classes::names).unwrap_or_default()
    }

    /// Checks that images of this shape fit into memory: Linux would grant it, and end the program when it is used.
    fn check_memory(&self, pictures: usize, shape: PictureShape) -> Result<(), DataError> {
        let needed = (pictures as u64).saturating_mul(shape.values() as u64);
        check_left(needed, String::new).map_err(
            |TooLittleMemory { needed, left, owner, .. }| {
                let problem = PackProblem::Memory { pictures, needed, left, owner };
                DataError::pack(&self.folder, problem)
            },
        )
    }

    /// Returns the data set of a part, if each of its classes has enough pictures.
    fn checked(
        &self,
        parts: &[Classes],
        dataset: Option<Dataset>,
        needed: usize,
    ) -> Result<Dataset, DataError> {
        let counts = dataset.as_ref().map(Dataset::class_counts).unwrap_or_default();
        check_counts(parts, &counts, needed, &self.left_out.notes())?;
        let left_out = || self.left_out.notes();
        let none = || PackProblem::TooFew { needed, found: 0, left_out: left_out() };
        dataset.ok_or_else(|| DataError::pack(&self.folder, none()))
    }
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
