//! Samples with their targets, in memory or in files that are read piece by piece, and views of them.
//!
//! Pixels stay u8, as in the files; [`batches`](super::batches) converts them to floats.

mod change_targets;
mod facts_for_ranks;
mod select_and_split;

use std::ops::Range;
use std::sync::Arc;

use super::check_arrays;
use super::error::{DataError, DatasetProblem};
use super::features::{FeatureKind, Features, Sample, Values};
use super::image_preparation::Preparation;
use super::picture_shape::PictureShape;
use super::sample_files::SampleFiles;
use super::stream::memory_limit::StreamMemory;
use super::targets::{Target, TargetKind, Targets};

/// Samples and their targets; clones, selections and splits share them.
#[derive(Clone, Debug)]
pub struct Dataset {
    store: Arc<Store>,
    /// The store's samples in this view, in order; `None`: all.
    index: Option<Arc<[u32]>>,
    /// The weights of the store's samples in the training loss; `None`: all the same.
    weights: Option<Arc<[f32]>>,
    preparation: Preparation,
}

#[derive(Debug)]
struct Store {
    /// Shared with data sets that label them differently.
    samples: Arc<Samples>,
    /// The shape of one sample, and its number of values.
    shape: Vec<usize>,
    sample_len: usize,
    targets: Targets,
}

#[derive(Debug)]
enum Samples {
    Held(Values),
    /// Images in files, and how much of them training may hold at a time.
    Files(Box<dyn SampleFiles>, StreamMemory),
}

impl Dataset {
    /// Creates a data set with one image of `shape` per label, [height, width] of gray ones; `pixels` holds them row by
    /// row, in color plane by plane, one after the other, from 0 (background, as in MNIST) to 255. A label is an index
    /// into `classes`.
    ///
    /// # Errors
    /// No samples, pixels that are not one image per label, other than 2 to 256 classes, a label
    /// without a class.
    pub fn new(
        pixels: Vec<u8>,
        shape: impl Into<PictureShape>,
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        let (shape, samples, found) = (shape.into(), labels.len(), pixels.len());
        if samples > 0 && shape.values() > 0 && shape.values().checked_mul(samples) != Some(found) {
            return Err(DatasetProblem::Pixels { samples, shape, pixels: found }.into());
        }
        Self::with(Samples::Held(Values::Pixels(pixels)), shape, labels, classes)
    }

    /// Creates a data set from arrays: samples of pixels or numbers of any shape, and for each its target,
    /// which is a class, several labels, or numbers. One-hot targets, as of Keras's `to_categorical`, are classes: give
    /// the index of the 1 in each row to [`Targets::classes`]. As [`Targets::labels`] each column would be a label by
    /// itself, with a sigmoid.
    ///
    /// ```
    /// use seqfit::data::{Dataset, Features, Targets};
    ///
    /// // Rooms and age of three houses, and their prices.
    /// let features = Features::floats([6.9, 41.0, 6.2, 21.0, 8.2, 52.0], [2]);
    /// let houses = Dataset::from_arrays(features, Targets::numbers([4.5, 3.6, 3.5], ["price"]))?;
    /// assert_eq!((houses.len(), houses.sample_shape()), (3, &[2][..]));
    /// # Ok::<(), seqfit::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// No samples, or samples without values; other than one target per sample; a number that is NaN or
    /// infinite, which the error names by sample and column; other than 2 to 256 classes, a class
    /// without a name, a label other than 0 and 1.
    pub fn from_arrays(
        features: impl Into<Features>,
        targets: impl Into<Targets>,
    ) -> Result<Self, DataError> {
        let (Features { values, shape }, targets) = (features.into(), targets.into());
        check_arrays::check(&values, &shape, &targets)?;
        Ok(Self::of(Samples::Held(values), shape, targets))
    }

    /// Like [`new`](Self::new), with images in files, one per label.
    pub(super) fn of_files(
        files: impl SampleFiles + 'static,
        memory: StreamMemory,
        shape: PictureShape,
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        Self::with(Samples::Files(Box::new(files), memory), shape, labels, classes)
    }

    fn with(
        pixels: Samples,
        shape: PictureShape,
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        let samples = labels.len();
        if samples == 0 || shape.values() == 0 {
            return Err(DatasetProblem::Empty { samples, shape }.into());
        }
        let targets = Targets::Classes { classes: labels, names: classes };
        check_arrays::check_targets(&targets)?;
        Ok(Self::of(pixels, shape.sample_shape(), targets))
    }

    fn of(samples: Samples, shape: Vec<usize>, targets: Targets) -> Self {
        let sample_len = shape.iter().product();
        let store = Store { samples: Arc::new(samples), shape, sample_len, targets };
        let preparation = Preparation::default();
        Self { store: Arc::new(store), index: None, weights: None, preparation }
    }

    /// Returns the number of samples.
    pub fn len(&self) -> usize {
        self.index.as_ref().map_or_else(|| self.store.targets.len(), |index| index.len())
    }

    /// Returns whether there are no samples: only a selection or [`take`](Self::take) of none is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the shape of every sample: the input shape of a network. \[height, width\] for gray
    /// pictures.
    pub fn sample_shape(&self) -> &[usize] {
        &self.store.shape
    }

    /// Returns the [height, width] of every image, in pixels.
    ///
    /// # Errors
    /// The samples are not gray pictures.
    pub fn image_shape(&self) -> Result<[usize; 2], DataError> {
        self.pictures_for("this")
    }

    /// Returns the [height, width] of the gray pictures that `user`, the subject of the error, needs.
    ///
    /// # Errors
    /// The samples are something else.
    pub fn pictures_for(&self, user: &'static str) -> Result<[usize; 2], DataError> {
        match (&*self.store.samples, &self.store.shape[..]) {
            (Samples::Held(Values::Pixels(_)) | Samples::Files(..), &[height, width]) => {
                Ok([height, width])
            }
            _ => Err(DatasetProblem::NoPictures { user, found: self.samples_in_words() }.into()),
        }
    }

    /// Returns the shape of the samples as pictures, gray or in color; none if they are something else.
    pub fn picture_shape(&self) -> Option<PictureShape> {
        PictureShape::of(&self.store.shape).filter(|_| self.feature_kind().is_pixels())
    }

    /// Like [`picture_shape`](Self::picture_shape), for `user`, the subject of the error, who needs pictures.
    ///
    /// # Errors
    /// The samples are something else.
    pub fn any_pictures_for(&self, user: &'static str) -> Result<PictureShape, DataError> {
        self.picture_shape().ok_or_else(|| {
            DatasetProblem::NotPictures { user, found: self.samples_in_words() }.into()
        })
    }

    /// Describes the samples: `float features of shape [8]`.
    pub fn samples_in_words(&self) -> String {
        match (&*self.store.samples, &self.store.shape[..]) {
            (Samples::Held(Values::Floats(_)), shape) => {
                format!("float features of shape {shape:?}")
            }
            (_, [height, width]) => format!("images of {height}x{width}"),
            (_, [3, height, width]) => format!("color images of {height}x{width}"),
            (_, shape) => format!("pixels of shape {shape:?}"),
        }
    }

    /// Returns the kind of the targets.
    pub fn target_kind(&self) -> TargetKind {
        self.store.targets.kind()
    }

    /// Returns the names of the classes, labels or numbers: one for each output of a network.
    pub fn target_names(&self) -> &[String] {
        self.store.targets.names()
    }

    /// Returns the class names; a label is an index into them. Empty if the targets are not
    /// [classes](TargetKind::Class).
    pub fn classes(&self) -> &[String] {
        match &self.store.targets {
            Targets::Classes { names, .. } => names,
            _ => &[],
        }
    }

    /// Returns the names of the classes that `user`, the subject of the error, needs.
    ///
    /// # Errors
    /// The targets are something else.
    pub(crate) fn classes_for(&self, user: &'static str) -> Result<&[String], DataError> {
        match &self.store.targets {
            Targets::Classes { names, .. } => Ok(names),
            other => Err(DatasetProblem::NoClasses { user, found: other.kind() }.into()),
        }
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

    /// Returns the features of sample `i`.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len), or the data set is [streamed](Self::is_streamed): its images
    /// must be read, which [`read_image`](Self::read_image) does.
    pub fn sample(&self, i: usize) -> Sample<'_> {
        let values = self.sample_len();
        let start = self.position(i) * values;
        match &*self.store.samples {
            Samples::Held(Values::Pixels(pixels)) => Sample::Pixels(&pixels[start..start + values]),
            Samples::Held(Values::Floats(floats)) => Sample::Floats(&floats[start..start + values]),
            Samples::Files(..) => {
                panic!("a streamed data set holds no images: read_image reads one")
            }
        }
    }

    /// Returns the pixels of sample `i`, in C order: of a gray picture row by row.
    ///
    /// # Panics
    /// Like [`sample`](Self::sample), or the samples are not pixels.
    pub fn image(&self, i: usize) -> &[u8] {
        match self.sample(i) {
            Sample::Pixels(pixels) => pixels,
            Sample::Floats(_) => panic!("float features are no image: sample returns them"),
        }
    }

    /// Returns a copy of the pixels of sample `i`, row by row, from memory or from a file.
    ///
    /// # Errors
    /// Samples that are not pixels. For a streamed data set: a file that cannot be read, or that has
    /// changed.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len).
    pub fn read_image(&self, i: usize) -> Result<Vec<u8>, DataError> {
        let mut pixels = vec![0; self.sample_len()];
        self.read(i..i + 1, &mut pixels)?;
        Ok(pixels)
    }

    /// Returns whether the features are pixels or numbers.
    pub fn feature_kind(&self) -> FeatureKind {
        match &*self.store.samples {
            Samples::Held(Values::Floats(_)) => FeatureKind::Floats,
            Samples::Held(Values::Pixels(_)) | Samples::Files(..) => FeatureKind::Pixels,
        }
    }

    /// Returns whether the images are in files, and read when they are needed.
    pub fn is_streamed(&self) -> bool {
        self.stream_memory().is_some()
    }

    /// Returns the memory limit of a streamed data set; none if it is in memory.
    pub(crate) fn stream_memory(&self) -> Option<StreamMemory> {
        match &*self.store.samples {
            Samples::Held(_) => None,
            Samples::Files(_, memory) => Some(*memory),
        }
    }

    /// Returns the number of values of a sample; of an image its bytes.
    pub(super) fn sample_len(&self) -> usize {
        self.store.sample_len
    }

    /// Fills `out` with the images of some samples.
    pub(super) fn read(&self, samples: Range<usize>, out: &mut [u8]) -> Result<(), DataError> {
        match &*self.store.samples {
            Samples::Files(files, _) => {
                let positions: Vec<usize> = samples.map(|i| self.position(i)).collect();
                files.read(&positions, out)
            }
            Samples::Held(Values::Pixels(_)) => {
                let places = out.chunks_exact_mut(self.sample_len()).zip(samples);
                places.for_each(|(place, i)| place.copy_from_slice(self.image(i)));
                Ok(())
            }
            Samples::Held(Values::Floats(_)) => self.pictures_for("this").map(|_| ()),
        }
    }

    /// Passes the images of some samples on, several at once, so that few of them are in memory.
    pub(super) fn read_in_parts(
        &self,
        samples: Range<usize>,
        mut pass_on: impl FnMut(&[u8]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        const BYTES: usize = 4 << 20;
        let at_once = (BYTES / self.sample_len()).max(1);
        let mut pixels = Vec::new();
        for start in samples.clone().step_by(at_once) {
            let end = samples.end.min(start + at_once);
            pixels.resize((end - start) * self.sample_len(), 0);
            self.read(start..end, &mut pixels)?;
            pass_on(&pixels)?;
        }
        Ok(())
    }

    /// Returns the target of sample `i`.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len).
    pub fn target(&self, i: usize) -> Target<'_> {
        self.store.targets.get(self.position(i))
    }

    /// Gives each sample a weight in the training loss, which becomes Σ weight · loss / samples of a batch, as
    /// Keras's `sample_weight`. Evaluation counts each sample once.
    ///
    /// # Errors
    /// Other than one weight per sample, a weight that is negative or not finite, weights that are all 0, or data that is
    /// streamed.
    pub fn with_sample_weights(self, weights: &[f32]) -> Result<Self, DataError> {
        let (samples, found) = (self.len(), weights.len());
        if samples != found || self.is_streamed() {
            let streamed = self.is_streamed();
            return Err(DatasetProblem::Weights { samples, found, streamed }.into());
        }
        if let Some(sample) =
            weights.iter().position(|weight| !(0.0..f32::INFINITY).contains(weight))
        {
            return Err(DatasetProblem::Weight { sample, found: weights[sample] }.into());
        }
        if weights.iter().all(|&weight| weight == 0.0) {
            return Err(DatasetProblem::NoWeight { samples }.into());
        }
        let mut own = vec![1.0; self.store.targets.len()];
        weights.iter().enumerate().for_each(|(i, &weight)| own[self.position(i)] = weight);
        Ok(Self { weights: Some(own.into()), ..self })
    }

    /// Returns whether samples have weights in the training loss.
    pub fn has_sample_weights(&self) -> bool {
        self.weights.is_some()
    }

    /// Returns the weight of sample `i` in the training loss; none if all have the same.
    pub(crate) fn sample_weight(&self, i: usize) -> Option<f32> {
        self.weights.as_ref().map(|weights| weights[self.position(i)])
    }

    /// Checks that some sample of this view has a weight, which a part of a data set may lack.
    pub(crate) fn check_some_weight(&self) -> Result<(), DataError> {
        let weighs = |i| self.sample_weight(i).is_none_or(|weight| weight > 0.0);
        match self.is_empty() || (0..self.len()).any(weighs) {
            true => Ok(()),
            false => Err(DatasetProblem::NoWeight { samples: self.len() }.into()),
        }
    }

    /// Returns the class of sample `i`.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len), or the targets are not [classes](TargetKind::Class).
    pub fn label(&self, i: usize) -> u8 {
        match &self.store.targets {
            Targets::Classes { classes: labels, .. } => labels[self.position(i)],
            _ => panic!("these targets are no classes: target returns them"),
        }
    }

    /// Returns the number of samples of each class; empty if the targets are not
    /// [classes](TargetKind::Class).
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes().len()];
        if self.target_kind().is_class() {
            (0..self.len()).for_each(|i| counts[usize::from(self.label(i))] += 1);
        }
        counts
    }

    fn position(&self, i: usize) -> usize {
        self.index.as_ref().map_or(i, |index| index[i] as usize)
    }
}

#[cfg(test)]
mod tests;
