//! Labeled images, in memory or in files that are read piece by piece, and views of them.
//!
//! Pixels stay u8, as in the files; [`batches`](super::batches) converts them to floats.

use std::ops::Range;
use std::sync::Arc;

use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use super::digest;
use super::error::{DataError, DatasetProblem};
use super::preparation::Preparation;
use super::stream::{Shards, StreamMemory};
use crate::group::RankSetting;
use crate::rng::{self, Purpose};

/// Labeled u8 images; clones, selections and splits share the pixels.
#[derive(Clone, Debug)]
pub struct Dataset {
    store: Arc<Store>,
    /// The store's samples in this view, in order; `None`: all.
    index: Option<Arc<[u32]>>,
    preparation: Preparation,
}

#[derive(Debug)]
struct Store {
    /// Shared with data sets that label them differently.
    pixels: Arc<Pixels>,
    shape: [usize; 2],
    labels: Vec<u8>,
    classes: Vec<String>,
}

#[derive(Debug)]
enum Pixels {
    Held(Vec<u8>),
    /// In files, and how much of them training may hold at a time.
    Files(Shards, StreamMemory),
}

impl Dataset {
    /// Creates a data set with one image of `shape` ([height, width]) per label; `pixels` holds them row by
    /// row, one after the other, from 0 (background, as in MNIST) to 255. A label is an index into
    /// `classes`.
    ///
    /// # Errors
    /// No samples, pixels that are not one image per label, other than 2 to 256 classes, a label
    /// without a class.
    pub fn new(
        pixels: Vec<u8>,
        shape: [usize; 2],
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        let ([height, width], samples) = (shape, labels.len());
        let wanted = height.checked_mul(width).and_then(|image| image.checked_mul(samples));
        if samples > 0 && height > 0 && width > 0 && wanted != Some(pixels.len()) {
            let pixels = pixels.len();
            return Err(DatasetProblem::Pixels { samples, height, width, pixels }.into());
        }
        Self::with(Pixels::Held(pixels), shape, labels, classes)
    }

    /// Like [`new`](Self::new), with images in files, one per label.
    pub(super) fn of_files(
        shards: Shards,
        memory: StreamMemory,
        shape: [usize; 2],
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        Self::with(Pixels::Files(shards, memory), shape, labels, classes)
    }

    fn with(
        pixels: Pixels,
        shape: [usize; 2],
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        let ([height, width], samples) = (shape, labels.len());
        if samples == 0 || height == 0 || width == 0 {
            return Err(DatasetProblem::Empty { samples, height, width }.into());
        }
        if u32::try_from(samples).is_err() {
            return Err(DatasetProblem::TooMany(samples).into());
        }
        if !(2..=256).contains(&classes.len()) {
            return Err(DatasetProblem::Classes(classes.len()).into());
        }
        if let Some(sample) = first_outside(&labels, classes.len()) {
            let (label, classes) = (labels[sample], classes.len());
            return Err(DatasetProblem::Label { sample, label, classes }.into());
        }
        let pixels = Arc::new(pixels);
        Ok(Self {
            store: Arc::new(Store { pixels, shape, labels, classes }),
            index: None,
            preparation: Preparation::default(),
        })
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.index.as_ref().map_or(self.store.labels.len(), |index| index.len())
    }

    /// Returns whether there are no samples: only a selection or [`take`](Self::take) of none is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the [height, width] of every image, in pixels.
    pub fn image_shape(&self) -> [usize; 2] {
        self.store.shape
    }

    /// Returns the class names; a label is an index into them.
    pub fn classes(&self) -> &[String] {
        &self.store.classes
    }

    /// Returns how pictures were converted to these images, and how pictures for prediction are to be converted
    /// for a network trained on them. [`Preparation::Raw`] if it is not known.
    pub fn preparation(&self) -> Preparation {
        self.preparation
    }

    /// Sets the [`preparation`](Self::preparation), which [`save_dir`](super::save_dir()) records.
    pub(crate) fn with_preparation(self, preparation: Preparation) -> Self {
        Self { preparation, ..self }
    }

    /// Returns the pixels of sample `i`, row by row.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len), or the data set is [streamed](Self::is_streamed): its images
    /// must be read, which [`read_image`](Self::read_image) does.
    pub fn image(&self, i: usize) -> &[u8] {
        let image = self.image_bytes();
        let start = self.position(i) * image;
        match &*self.store.pixels {
            Pixels::Held(pixels) => &pixels[start..start + image],
            Pixels::Files(..) => {
                panic!("a streamed data set holds no images: read_image reads one")
            }
        }
    }

    /// Returns a copy of the pixels of sample `i`, row by row, from memory or from a file.
    ///
    /// # Errors
    /// For a streamed data set: a file that cannot be read, or that has changed.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len).
    pub fn read_image(&self, i: usize) -> Result<Vec<u8>, DataError> {
        let mut pixels = vec![0; self.image_bytes()];
        self.read(i..i + 1, &mut pixels)?;
        Ok(pixels)
    }

    /// Returns whether the images are in files, and read when they are needed.
    pub fn is_streamed(&self) -> bool {
        self.stream_memory().is_some()
    }

    /// Returns the memory limit of a streamed data set; none if it is in memory.
    pub(crate) fn stream_memory(&self) -> Option<StreamMemory> {
        match &*self.store.pixels {
            Pixels::Held(_) => None,
            Pixels::Files(_, memory) => Some(*memory),
        }
    }

    /// Returns the number of bytes of an image.
    pub(super) fn image_bytes(&self) -> usize {
        self.store.shape[0] * self.store.shape[1]
    }

    /// Fills `out` with the images of some samples.
    pub(super) fn read(&self, samples: Range<usize>, out: &mut [u8]) -> Result<(), DataError> {
        let image = self.image_bytes();
        let shards = match &*self.store.pixels {
            Pixels::Files(shards, _) => shards,
            Pixels::Held(_) => {
                let places = out.chunks_exact_mut(image).zip(samples);
                places.for_each(|(place, i)| place.copy_from_slice(self.image(i)));
                return Ok(());
            }
        };
        let mut reader = shards.reader();
        let (mut next, mut out) = (samples.start, out);
        while next < samples.end {
            // Adjacent samples are one read.
            let first = self.position(next);
            let run =
                (next..samples.end).zip(first..).take_while(|&(i, at)| self.position(i) == at);
            let (part, rest) = out.split_at_mut(image * run.count());
            next += part.len() / image;
            reader.read(first, part)?;
            out = rest;
        }
        Ok(())
    }

    /// Returns the class of sample `i`.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len).
    pub fn label(&self, i: usize) -> u8 {
        self.store.labels[self.position(i)]
    }

    /// Returns the settings that
    /// [`verify_consistent_across_ranks`](crate::group::verify_consistent_across_ranks) compares between ranks:
    /// `what` describes the data set. For a streamed one all labels are checked, and some images.
    ///
    /// # Errors
    /// A streamed data set that cannot be read.
    pub fn facts(&self, what: &str) -> Result<Vec<RankSetting>, DataError> {
        const SOME: usize = 256;
        let mut sha256 = Sha256::new();
        (0..self.len()).for_each(|i| sha256.update([self.label(i)]));
        if self.is_streamed() {
            for i in (0..self.len()).step_by(self.len().div_ceil(SOME).max(1)) {
                sha256.update(self.read_image(i)?);
            }
        } else {
            (0..self.len()).for_each(|i| sha256.update(self.image(i)));
        }
        let [height, width] = self.image_shape();
        let size = format!("{} images of {height}x{width}", self.len());
        Ok(vec![
            (format!("{what} (number and size)"), size),
            (format!("{what} (names of the classes)"), self.classes().join(", ")),
            (format!("{what} (SHA-256)"), digest::hex(&sha256.finalize())),
        ])
    }

    /// Returns the samples `indices` of this view, in that order, with repetitions.
    ///
    /// # Errors
    /// An index that is not below [`len`](Self::len).
    pub fn select(&self, indices: &[u32]) -> Result<Dataset, DataError> {
        let samples = self.len();
        if let Some(&index) = indices.iter().find(|&&index| index as usize >= samples) {
            return Err(DatasetProblem::Index { index, samples }.into());
        }
        Ok(self.view(indices.iter().copied()))
    }

    /// Returns the first `n` samples, or all if there are fewer.
    pub fn take(&self, n: usize) -> Dataset {
        // The number of samples of a data set fits into a u32.
        self.view(0..self.len().min(n) as u32)
    }

    /// Splits into a training and a validation part, stratified by class: of each class
    /// `round(validation_fraction * count)` samples, chosen by `seed`, go to validation, at least
    /// one of each class that has two or more. Both parts keep the order of this data set. With a
    /// fraction of 0 all samples are for training, and the validation part is empty.
    ///
    /// # Errors
    /// A fraction outside 0 ≤ x < 1, or one that leaves a part without samples.
    pub fn split(
        &self,
        validation_fraction: f64,
        seed: u64,
    ) -> Result<(Dataset, Dataset), DataError> {
        if !(0.0..1.0).contains(&validation_fraction) {
            return Err(DatasetProblem::ValidationFraction(validation_fraction).into());
        }
        let mut by_class = vec![Vec::new(); self.classes().len()];
        for i in 0..self.len() as u32 {
            by_class[usize::from(self.label(i as usize))].push(i);
        }
        let mut validates = vec![false; self.len()];
        for (class, members) in by_class.iter_mut().enumerate() {
            let mut wanted = (validation_fraction * members.len() as f64).round() as usize;
            if validation_fraction > 0.0 && members.len() >= 2 {
                // Neither part should lack a class that could be in both.
                wanted = wanted.clamp(1, members.len() - 1);
            }
            members.shuffle(&mut rng::stream(seed, Purpose::Split, &[class as u64]));
            members.iter().take(wanted).for_each(|&i| validates[i as usize] = true);
        }
        let part = |validation: bool| {
            self.view((0..self.len() as u32).filter(|&i| validates[i as usize] == validation))
        };
        let (train, validation) = (part(false), part(true));
        if validation_fraction > 0.0 && (train.is_empty() || validation.is_empty()) {
            return Err(DatasetProblem::Split {
                share: validation_fraction,
                train: train.len(),
                validation: validation.len(),
                samples: self.len(),
            }
            .into());
        }
        Ok((train, validation))
    }

    /// Returns the same samples with `labels[label]` in place of each label, an index into `classes`.
    pub(super) fn relabeled(&self, labels: &[u8], classes: Vec<String>) -> Dataset {
        let label = |&old: &u8| labels.get(usize::from(old)).copied().unwrap_or_default();
        let store = Store {
            pixels: Arc::clone(&self.store.pixels),
            shape: self.store.shape,
            labels: self.store.labels.iter().map(label).collect(),
            classes,
        };
        Dataset { store: Arc::new(store), index: self.index.clone(), preparation: self.preparation }
    }

    /// Returns the number of samples of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes().len()];
        (0..self.len()).for_each(|i| counts[usize::from(self.label(i))] += 1);
        counts
    }

    fn position(&self, i: usize) -> usize {
        self.index.as_ref().map_or(i, |index| index[i] as usize)
    }

    /// Returns the samples at `indices`, which are all in range.
    fn view(&self, indices: impl Iterator<Item = u32>) -> Dataset {
        let index = indices.map(|i| self.position(i as usize) as u32).collect();
        Self { store: Arc::clone(&self.store), index: Some(index), preparation: self.preparation }
    }
}

/// Returns the first sample whose label has no class.
pub(super) fn first_outside(labels: &[u8], classes: usize) -> Option<usize> {
    labels.iter().position(|&label| usize::from(label) >= classes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| i.to_string()).collect()
    }

    /// Returns a data set whose sample i is a single pixel of value i.
    fn numbered(labels: &[u8], classes: usize) -> Dataset {
        let pixels = (0..labels.len()).map(|i| i as u8).collect();
        Dataset::new(pixels, [1, 1], labels.to_vec(), names(classes)).unwrap()
    }

    fn ids(dataset: &Dataset) -> Vec<u8> {
        (0..dataset.len()).map(|i| dataset.image(i)[0]).collect()
    }

    #[test]
    fn invalid_data_sets_are_refused() {
        let text = |pixels: usize, shape, labels: &[u8], classes| {
            Dataset::new(vec![0; pixels], shape, labels.to_vec(), names(classes))
                .unwrap_err()
                .to_string()
        };
        assert!(text(0, [2, 2], &[], 2).contains("found 0 of 2x2"));
        assert!(text(0, [0, 2], &[0], 2).contains("found 1 of 0x2"));
        assert!(text(7, [2, 2], &[0, 1], 2).contains("found 7 pixels"));
        assert!(text(8, [usize::MAX, 2], &[0, 1], 2).contains("found 8 pixels"));
        assert!(text(2, [1, 1], &[0, 0], 1).contains("2 to 256 classes, found 1"));
        assert!(text(2, [1, 1], &[0, 0], 257).contains("found 257"));
        assert!(text(3, [1, 1], &[0, 2, 3], 2).contains("from 0 to 1"));
        assert!(text(3, [1, 1], &[0, 2, 3], 2).contains("found 2 at sample 1"));
    }

    #[test]
    fn views_compose() {
        let all = numbered(&[0, 1, 0, 1, 0, 1], 2);
        let some = all.select(&[5, 3, 1, 1]).unwrap();
        assert_eq!(ids(&some), [5, 3, 1, 1]);
        assert_eq!(ids(&some.select(&[3, 0]).unwrap()), [1, 5]);
        assert_eq!(ids(&some.take(2)), [5, 3]);
        assert_eq!(ids(&some.take(9)), [5, 3, 1, 1]);
        assert_eq!(some.class_counts(), [0, 4]);
        assert!(all.take(0).is_empty());
        assert!(some.select(&[4]).unwrap_err().to_string().contains("from 0 to 3, found 4"));
    }

    #[test]
    fn a_split_is_stratified_seeded_and_keeps_the_order() {
        let labels: Vec<u8> = (0..100).map(|i| u8::from(i % 10 == 0)).chain([2]).collect();
        let all = numbered(&labels, 3);
        let (train, validation) = all.split(0.25, 7).unwrap();
        // 90 * 0.25 = 22.5, 10 * 0.25 = 2.5; a class of one stays in training.
        assert_eq!(validation.class_counts(), [23, 3, 0]);
        assert_eq!(train.class_counts(), [67, 7, 1]);
        assert!(ids(&train).is_sorted() && ids(&validation).is_sorted());
        let mut together = [ids(&train), ids(&validation)].concat();
        together.sort();
        assert_eq!(together, ids(&all));

        let (_, same) = all.split(0.25, 7).unwrap();
        let (_, other) = all.split(0.25, 8).unwrap();
        assert_eq!(ids(&validation), ids(&same));
        assert_ne!(ids(&validation), ids(&other));
    }

    #[test]
    fn a_split_that_empties_a_part_is_an_error() {
        let all = numbered(&[0, 0, 1, 1, 1], 2);
        let (train, validation) = all.split(0.01, 0).unwrap();
        assert_eq!((train.class_counts(), validation.class_counts()), (vec![1, 2], vec![1, 1]));
        let (train, validation) = all.split(0.99, 0).unwrap();
        assert_eq!((train.class_counts(), validation.class_counts()), (vec![1, 1], vec![1, 2]));
        let (train, validation) = all.split(0.0, 0).unwrap();
        assert_eq!((train.len(), validation.len()), (5, 0));
        for fraction in [-0.1, 1.0, f64::NAN] {
            assert!(all.split(fraction, 0).is_err());
        }
        let error = numbered(&[0, 1], 2).split(0.3, 0).unwrap_err().to_string();
        assert!(error.contains("2 samples to train on and 0 to validate on, of 2"), "{error}");
    }
}
