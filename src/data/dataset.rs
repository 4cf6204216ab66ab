//! Samples with their targets, in memory or in files that are read piece by piece, and views of them.
//!
//! Pixels stay u8, as in the files; [`batches`](super::batches) converts them to floats.

use std::ops::Range;
use std::sync::Arc;

use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use super::check_arrays;
use super::error::{DataError, DatasetProblem};
use super::features::{FeatureKind, Features, Sample, Values};
use super::image_preparation::Preparation;
use super::sha256;
use super::stream::{Shards, StreamMemory};
use super::targets::{Target, TargetKind, Targets};
use crate::group::RankSetting;
use crate::rng::{self, Purpose};
use crate::target_scaling::TargetScaling;

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
        Self::with(Samples::Held(Values::Pixels(pixels)), shape, labels, classes)
    }

    /// Creates a data set from arrays: samples of pixels or numbers of any shape, and for each its target,
    /// which is a class, several labels, or numbers.
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
        shards: Shards,
        memory: StreamMemory,
        shape: [usize; 2],
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        Self::with(Samples::Files(shards, memory), shape, labels, classes)
    }

    fn with(
        pixels: Samples,
        shape: [usize; 2],
        labels: Vec<u8>,
        classes: Vec<String>,
    ) -> Result<Self, DataError> {
        let ([height, width], samples) = (shape, labels.len());
        if samples == 0 || height == 0 || width == 0 {
            return Err(DatasetProblem::Empty { samples, height, width }.into());
        }
        let targets = Targets::Classes { labels, names: classes };
        check_arrays::check_targets(&targets)?;
        Ok(Self::of(pixels, shape.to_vec(), targets))
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

    /// Describes the samples: `float features of shape [8]`.
    pub fn samples_in_words(&self) -> String {
        match (&*self.store.samples, &self.store.shape[..]) {
            (Samples::Held(Values::Floats(_)), shape) => {
                format!("float features of shape {shape:?}")
            }
            (_, [height, width]) => format!("images of {height}x{width}"),
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
        let image = self.sample_len();
        let shards = match &*self.store.samples {
            Samples::Files(shards, _) => shards,
            Samples::Held(Values::Pixels(_)) => {
                let places = out.chunks_exact_mut(image).zip(samples);
                places.for_each(|(place, i)| place.copy_from_slice(self.image(i)));
                return Ok(());
            }
            Samples::Held(Values::Floats(_)) => return self.pictures_for("this").map(|_| ()),
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
    /// Other than one weight per sample, a weight that is negative or not finite, or data that is streamed.
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

    /// Returns the class of sample `i`.
    ///
    /// # Panics
    /// `i` is not below [`len`](Self::len), or the targets are not [classes](TargetKind::Class).
    pub fn label(&self, i: usize) -> u8 {
        match &self.store.targets {
            Targets::Classes { labels, .. } => labels[self.position(i)],
            _ => panic!("these targets are no classes: target returns them"),
        }
    }

    /// Returns the settings that
    /// [`verify_consistent_across_ranks`](crate::group::verify_consistent_across_ranks) compares between ranks:
    /// `what` describes the data set. Of a streamed one all labels are checked, and some images.
    ///
    /// # Errors
    /// A streamed data set that cannot be read.
    pub fn facts(&self, what: &str) -> Result<Vec<RankSetting>, DataError> {
        const SOME: usize = 256;
        let mut sha256 = Sha256::new();
        (0..self.len()).for_each(|i| match self.target(i) {
            Target::Class(label) => sha256.update([label]),
            Target::Labels(values) => sha256.update(values),
            Target::Numbers(values) => sha256.update(bytemuck::cast_slice(values)),
        });
        if self.is_streamed() {
            for i in (0..self.len()).step_by(self.len().div_ceil(SOME).max(1)) {
                sha256.update(self.read_image(i)?);
            }
        } else {
            (0..self.len()).for_each(|i| match self.sample(i) {
                Sample::Pixels(pixels) => sha256.update(pixels),
                Sample::Floats(values) => sha256.update(bytemuck::cast_slice(values)),
            });
        }
        (0..self.len())
            .filter_map(|i| self.sample_weight(i))
            .for_each(|weight| sha256.update(weight.to_ne_bytes()));
        let size = format!("{} {}", self.len(), self.samples_in_words());
        let (kind, names) = (self.target_kind(), self.target_names().join(", "));
        Ok(vec![
            (format!("{what} (number and size)"), size),
            (format!("{what} (kind of the targets)"), kind.to_string()),
            (format!("{what} (names of the {kind})"), names),
            (format!("{what} (SHA-256)"), sha256::hex(&sha256.finalize())),
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
    /// one of each class that has two or more. Several labels and numbers are not stratified: of all
    /// samples that many go to validation. Both parts keep the order of this data set. With a
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
        let mut validates = vec![false; self.len()];
        for (class, members) in self.strata().iter_mut().enumerate() {
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

    /// Returns the samples of each class; of other targets all in one list.
    fn strata(&self) -> Vec<Vec<u32>> {
        let mut strata = vec![Vec::new(); self.classes().len().max(1)];
        for i in 0..self.len() as u32 {
            match self.target(i as usize) {
                Target::Class(class) => strata[usize::from(class)].push(i),
                Target::Labels(_) | Target::Numbers(_) => strata[0].push(i),
            }
        }
        strata
    }

    /// Returns the same samples with `labels[label]` in place of each label, an index into `classes`; other
    /// targets than classes stay as they are.
    pub(super) fn relabeled(&self, labels: &[u8], classes: Vec<String>) -> Dataset {
        let label = |&old: &u8| labels.get(usize::from(old)).copied().unwrap_or_default();
        let targets = match &self.store.targets {
            Targets::Classes { labels: own, .. } => {
                Targets::Classes { labels: own.iter().map(label).collect(), names: classes }
            }
            other => other.clone(),
        };
        self.with_targets(targets)
    }

    /// Returns the scaling that gives the targets, if they are numbers, a mean of 0 and a standard deviation of 1;
    /// none for other targets. Fit it on the training part alone.
    pub fn target_scaling(&self) -> Option<TargetScaling> {
        let rows = (0..self.len()).filter_map(|i| match self.target(i) {
            Target::Numbers(numbers) => Some(numbers),
            _ => None,
        });
        let is_numbers = self.target_kind() == TargetKind::Numbers;
        is_numbers.then(|| TargetScaling::fit(rows, self.target_names().len()))
    }

    /// Returns the same samples with scaled numbers as targets; other targets stay as they are.
    pub(crate) fn with_scaled_targets(&self, scaling: &TargetScaling) -> Dataset {
        let Targets::Numbers { values, names } = &self.store.targets else { return self.clone() };
        let (values, names) = (scaling.scale(values), names.clone());
        self.with_targets(Targets::Numbers { values, names })
    }

    fn with_targets(&self, targets: Targets) -> Dataset {
        let Store { samples, shape, sample_len, .. } = &*self.store;
        let (samples, shape, sample_len) = (Arc::clone(samples), shape.clone(), *sample_len);
        let store = Arc::new(Store { samples, shape, sample_len, targets });
        Dataset { store, ..self.clone() }
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

    /// Returns the samples at `indices`, which are all in range.
    fn view(&self, indices: impl Iterator<Item = u32>) -> Dataset {
        let index = indices.map(|i| self.position(i as usize) as u32).collect();
        Self { index: Some(index), ..self.clone() }
    }
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
    fn arrays_that_form_no_data_set_are_refused_by_place() {
        let text = |features: Features, targets: Targets| {
            Dataset::from_arrays(features, targets).unwrap_err().to_string()
        };
        let (two, one) = (["a", "b"], ["y"]);
        let numbers = |n: usize| Targets::numbers(vec![0.5; n], one);
        let floats = |values: &[f32], shape: &[usize]| Features::floats(values, shape);
        assert!(text(floats(&[], &[2]), numbers(0)).contains("found 0 targets"));
        assert!(text(floats(&[1.0], &[]), numbers(1)).contains("samples of shape []"));
        assert!(text(floats(&[1.0], &[3, 0]), numbers(1)).contains("shape [3, 0]"));
        let error = text(floats(&[1.0; 5], &[2]), numbers(2));
        assert!(error.contains("2 samples of shape [2], found 5 values"), "{error}");
        assert!(text(floats(&[1.0], &[usize::MAX, 2]), numbers(1)).contains("found 1 values"));
        let mut values = vec![0.0; 24];
        values[17] = f32::NAN;
        let error = text(floats(&values, &[2, 2, 3]), numbers(2));
        assert!(error.contains("found NaN at sample 1, column [0, 1, 2]"), "{error}");
        let error = text(floats(&values, &[12]), numbers(2));
        assert!(error.contains("found NaN at sample 1, column 5"), "{error}");
        let ok = || floats(&[0.0; 4], &[2]);
        let error = text(ok(), Targets::numbers([0.0, 1.0, f32::INFINITY, 2.0], two));
        assert!(
            error.contains("targets must be finite") && error.contains("inf at sample 1, column 0")
        );
        let error = text(ok(), Targets::labels([0, 1, 2, 1], two));
        assert!(error.contains("labels are 0 or 1, found 2 at sample 1, column 0"), "{error}");
        let error = text(ok(), Targets::numbers([0.0; 5], two));
        assert!(error.contains("found 2 names and 5 values"), "{error}");
        assert!(text(ok(), Targets::classes([0, 3], two)).contains("found 3 at sample 1"));
        assert!(text(ok(), Targets::classes([0, 0], one)).contains("2 to 256 classes, found 1"));
    }

    /// Returns a data set whose sample i is the number i, with the targets [i, i + 0.5].
    fn floats(samples: usize) -> Dataset {
        let values: Vec<f32> = (0..samples).map(|i| i as f32).collect();
        let targets: Vec<f32> = values.iter().flat_map(|&x| [x, x + 0.5]).collect();
        Dataset::from_arrays(Features::floats(values, [1]), Targets::numbers(targets, ["a", "b"]))
            .unwrap()
    }

    #[test]
    fn views_and_splits_of_numbers_keep_samples_and_targets_together() {
        let some = floats(10).select(&[7, 2, 2]).unwrap();
        assert_eq!((some.len(), some.target_kind()), (3, TargetKind::Numbers));
        assert_eq!(some.sample(0), Sample::Floats(&[7.0]));
        assert_eq!(some.target(0), Target::Numbers(&[7.0, 7.5]));
        assert!(some.classes().is_empty() && some.class_counts().is_empty());
        let (train, validation) = floats(10).split(0.3, 5).unwrap();
        assert_eq!((train.len(), validation.len()), (7, 3));
        let number = |set: &Dataset, i| match (set.sample(i), set.target(i)) {
            (Sample::Floats(&[x]), Target::Numbers(&[a, b])) => {
                assert!(x == a && x + 0.5 == b);
                x
            }
            other => panic!("{other:?}"),
        };
        let mut all: Vec<f32> = [&train, &validation]
            .iter()
            .flat_map(|set| (0..set.len()).map(|i| number(set, i)).collect::<Vec<_>>())
            .collect();
        all.sort_by(f32::total_cmp);
        assert_eq!(all, (0..10).map(|i| i as f32).collect::<Vec<_>>());
    }

    #[test]
    fn code_for_pictures_refuses_other_samples_by_name() {
        let houses = floats(3);
        let error = houses.image_shape().unwrap_err().to_string();
        assert_eq!(
            error,
            "this needs gray pictures of [height, width], found float features of shape [1]"
        );
        assert!(houses.read_image(0).is_err());
        let color = Features::pixels(vec![7; 2 * 3 * 4], [3, 2, 2]);
        let color = Dataset::from_arrays(color, Targets::classes([0, 1], ["a", "b"])).unwrap();
        let error = color.pictures_for("augmentation").unwrap_err().to_string();
        assert!(error.ends_with("found pixels of shape [3, 2, 2]"), "{error}");
        assert_eq!(color.read_image(1).unwrap(), [7; 12]);
        let folder = tempfile::tempdir().unwrap();
        let error = super::super::save_dir(&color, &color, &folder.path().join("x")).unwrap_err();
        assert!(error.to_string().starts_with("a folder of IDX files needs gray pictures"));
        let error = houses.classes_for("x").unwrap_err().to_string();
        assert_eq!(error, "x needs targets that are classes, found numbers");
    }

    #[test]
    fn facts_tell_floats_and_targets_apart() {
        let digest = |set: &Dataset| set.facts("data").unwrap();
        let set = |x: f32, y: f32| {
            Dataset::from_arrays(Features::floats([x], [1]), Targets::numbers([y], ["y"])).unwrap()
        };
        assert_eq!(digest(&set(1.0, 2.0)), digest(&set(1.0, 2.0)));
        assert_ne!(digest(&set(1.0, 2.0)), digest(&set(1.0, 2.5)));
        assert_ne!(digest(&set(1.0, 2.0)), digest(&set(1.5, 2.0)));
    }

    #[test]
    fn sample_weights_follow_their_samples() {
        let all = numbered(&[0, 1, 0, 1], 2);
        let weigh = |weights: &[f32]| numbered(&[0, 1, 0, 1], 2).with_sample_weights(weights);
        let weighted = weigh(&[0.5, 1.0, 0.0, 3.0]).unwrap().select(&[3, 0]).unwrap();
        assert_eq!([0, 1].map(|i| weighted.sample_weight(i)), [Some(3.0), Some(0.5)]);
        assert_ne!(weighted.facts("x").unwrap(), all.select(&[3, 0]).unwrap().facts("x").unwrap());
        let error = weigh(&[1.0]).unwrap_err().to_string();
        assert!(error.starts_with("4 samples need 4 weights, found 1"), "{error}");
        let error = weigh(&[1.0, f32::NAN, 1.0, 1.0]).unwrap_err().to_string();
        assert!(error.ends_with("found NaN at sample 1"), "{error}");
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
