//! Evaluation of a network on a dataset: loss, accuracy, confusion matrix, per-class metrics.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::data::batches::{self, DataLoader, DataLoaderError};
use crate::data::{DataError, Dataset, TargetKind};
use crate::group::rank_shard::RankShard;
use crate::group::{self, Group, GroupError, SingleProcess};
use crate::losses::Loss;
use crate::model::{ModelError, Sequential};
use crate::native::LibtorchError;

/// Samples per forward pass: large enough to be fast, small enough to need little memory (MNIST: 6 MB).
const BATCH: usize = 2048;

/// Metrics over a whole dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Fraction of samples whose true class has the highest logit.
    pub accuracy: f64,
    /// Number of samples.
    pub samples: usize,
    /// Counts by true class (row) and predicted class (column).
    pub confusion: Vec<Vec<u64>>,
}

/// The summary of an [`Evaluation`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Fraction of correct predictions.
    pub accuracy: f64,
    /// Number of samples.
    pub samples: usize,
}

impl From<&Evaluation> for Figures {
    fn from(evaluation: &Evaluation) -> Self {
        let &Evaluation { loss, accuracy, samples, .. } = evaluation;
        Self { loss, accuracy, samples }
    }
}

/// Classification metrics of one class. A metric whose denominator is 0 is 0, as in scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// The fraction of the samples predicted as this class that belong to it.
    pub precision: f64,
    /// The fraction of the samples of this class that are predicted as it.
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f1: f64,
    /// Number of samples of this class.
    pub support: u64,
}

/// Why a dataset cannot be run through a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// The samples have another shape.
    #[error(
        "the network takes samples of shape {network:?}, and the dataset has samples of {samples:?}: \
         use the dataset that it was made for, or a network of this input shape"
    )]
    Shape {
        /// The network's input.
        network: Vec<usize>,
        /// The shape of the dataset's samples.
        samples: Vec<usize>,
    },
    /// The network has another number of outputs than the dataset has labels or numbers.
    #[error(
        "the network has {outputs} outputs, and each sample of the dataset has {targets} targets ({kind}): its \
         last Dense layer needs {targets} units for this dataset"
    )]
    Targets {
        /// The network's outputs.
        outputs: usize,
        /// The dataset's labels or numbers.
        targets: usize,
        /// The kind of the targets.
        kind: TargetKind,
    },
    /// The numbers of classes differ.
    #[error(
        "the network has {outputs} outputs, and the dataset has {classes} classes: its last Dense layer needs \
         {classes} units for this dataset"
    )]
    Classes {
        /// The network's outputs.
        outputs: usize,
        /// The dataset's classes.
        classes: usize,
    },
    /// The network does not take images.
    #[error(
        "images need a network that takes [height, width], found {0:?}: train one that begins with \
         Flatten"
    )]
    NoImages(Vec<usize>),
    /// The pixels do not form whole images.
    #[error(
        "images of {shape:?} need a multiple of {} pixels, found {found}: give whole images",
        .shape[0] * .shape[1]
    )]
    Pixels {
        /// The number of pixels given.
        found: usize,
        /// The images' shape.
        shape: [usize; 2],
    },
    /// The dataset is empty.
    #[error("the dataset holds no samples")]
    Empty,
    /// Samples of a streamed data set cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The forward pass failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A libtorch call failed.
    #[error(transparent)]
    Libtorch(#[from] LibtorchError),
    /// The ranks cannot continue together.
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl Evaluation {
    /// Returns precision, recall and F1 of each class, in the order of the classes.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        (0..self.confusion.len())
            .map(|class| {
                let right = self.confusion[class][class] as f64;
                let support: u64 = self.confusion[class].iter().sum();
                let called: u64 = self.confusion.iter().map(|row| row[class]).sum();
                let share = |of: f64| if of == 0.0 { 0.0 } else { right / of };
                let (precision, recall) = (share(called as f64), share(support as f64));
                let sum = precision + recall;
                let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
                ClassFigures { precision, recall, f1, support }
            })
            .collect()
    }
}

impl Sequential {
    /// Computes loss, accuracy and confusion matrix on `dataset`: every sample once, dropout off.
    ///
    /// # Errors
    /// A dataset that does not match the network, or libtorch's own errors.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation, EvaluateError> {
        check_fit(self, dataset)?;
        self.evaluate_feed(&DataLoader::new(dataset, self.device())?)
    }

    /// Like [`evaluate`](Self::evaluate), but each rank of `group` evaluates its part of the samples, and all
    /// ranks get the metrics of the whole. Every rank has the same network and the whole data set.
    ///
    /// # Errors
    /// Like [`evaluate`](Self::evaluate); a different data set on some rank, or a rank that does not respond.
    pub fn evaluate_distributed(
        &self,
        group: &dyn Group,
        dataset: &Dataset,
    ) -> Result<Evaluation, EvaluateError> {
        check_fit(self, dataset)?;
        if group.size() > 1 {
            group::verify_consistent_across_ranks(group, &dataset.facts("data to evaluate on")?)?;
        }
        self.evaluate_shared(group, &DataLoader::new(dataset, self.device())?)
    }

    /// Like [`evaluate`](Self::evaluate), for data that is already on the device.
    pub(crate) fn evaluate_feed(&self, feed: &DataLoader) -> Result<Evaluation, EvaluateError> {
        self.evaluate_shared(&SingleProcess, feed)
    }

    /// Like [`evaluate_distributed`](Self::evaluate_distributed), for data that is already on the device.
    pub(crate) fn evaluate_shared(
        &self,
        group: &dyn Group,
        feed: &DataLoader,
    ) -> Result<Evaluation, EvaluateError> {
        let share = RankShard::of_rank(group);
        let own = self.tally(feed, share.of(feed.len()))?;
        let parts = group.all_gather(&own.to_bytes())?;
        let total = parts.iter().fold(Tally::default(), |sum, part| sum.with(&Tally::of(part)));
        let classes = self.outputs();
        let confusion: Vec<Vec<u64>> = total.counts.chunks(classes).map(<[u64]>::to_vec).collect();
        let right: u64 = confusion.iter().enumerate().map(|(i, row)| row[i]).sum();
        let samples = feed.len();
        Ok(Evaluation {
            loss: total.loss / samples as f64,
            accuracy: right as f64 / samples as f64,
            samples,
            confusion,
        })
    }

    /// Computes the contribution of some of the samples to the metrics.
    fn tally(&self, feed: &DataLoader, part: Range<usize>) -> Result<Tally, EvaluateError> {
        let _no_grad = tch::no_grad_guard();
        let classes = self.outputs() as i64;
        let (int, double) = ((Kind::Int64, self.device()), (Kind::Double, self.device()));
        let mut loss = Tensor::f_zeros([0i64; 0], double).map_err(LibtorchError::from)?;
        let mut counts = Tensor::f_zeros([classes * classes], int).map_err(LibtorchError::from)?;
        self.for_each_batch_of(feed, part, |logits, labels| {
            let samples = labels.size().first().copied().unwrap_or(0);
            let mean = Loss::Sparse.kind().mean(logits, labels)?.f_to_kind(Kind::Double)?;
            let sum = mean.f_mul_scalar(samples)?;
            let cell = labels.f_mul_scalar(classes)?.f_add_(&logits.f_argmax(-1, false)?)?;
            // Not bincount, which on a GPU would wait for the device at every batch.
            let _ = counts.f_index_add_(0, &cell, &cell.f_ones_like()?)?;
            let _ = loss.f_add_(&sum)?;
            Ok(())
        })?;
        let mut flat = vec![0i64; (classes * classes) as usize];
        let counted = counts.f_to_device(tch::Device::Cpu).and_then(|counts| {
            counts.f_copy_data(&mut flat, (classes * classes) as usize)?;
            loss.f_double_value(&[])
        });
        let loss = counted.map_err(LibtorchError::from)?;
        Ok(Tally { loss, counts: flat.iter().map(|&count| count as u64).collect() })
    }

    /// Returns the logits of every sample in order: f32 [samples, classes] on the CPU.
    ///
    /// # Errors
    /// Like [`evaluate`](Self::evaluate).
    pub fn logits_of(&self, dataset: &Dataset) -> Result<Tensor, EvaluateError> {
        let _no_grad = tch::no_grad_guard();
        check_fit(self, dataset)?;
        let feed = DataLoader::new(dataset, self.device())?;
        let mut parts = Vec::new();
        self.for_each_batch(&feed, |logits, _| {
            parts.push(logits.f_to_device(tch::Device::Cpu)?);
            Ok(())
        })?;
        Ok(Tensor::f_cat(&parts, 0).map_err(LibtorchError::from)?)
    }

    /// Returns the size of the images that the network takes: [height, width].
    ///
    /// # Errors
    /// A network that does not take images.
    pub fn image_shape(&self) -> Result<[usize; 2], EvaluateError> {
        match self.spec().input_shape[..] {
            [height, width] => Ok([height, width]),
            ref other => Err(EvaluateError::NoImages(other.to_vec())),
        }
    }

    /// Returns the probabilities of each class for u8 images of `shape` ([height, width]), which are stored
    /// consecutively in `pixels`.
    ///
    /// # Errors
    /// Images of another shape than the network takes, pixels that do not form whole images, or libtorch's
    /// own errors.
    pub fn predict_images(
        &self,
        pixels: &[u8],
        shape: [usize; 2],
    ) -> Result<Vec<Vec<f32>>, EvaluateError> {
        check_shape(self, &shape)?;
        let outputs = self.outputs();
        let image = shape[0] * shape[1];
        if !pixels.len().is_multiple_of(image) {
            return Err(EvaluateError::Pixels { found: pixels.len(), shape });
        }
        let mut all = Vec::with_capacity(pixels.len() / image);
        for part in pixels.chunks(BATCH * image) {
            let images = batches::scaled(part.chunks_exact(image), shape)?;
            let images = images.f_to_device(self.device()).map_err(LibtorchError::from)?;
            let shares = self.predict(&images)?;
            let mut flat = vec![0f32; shares.numel()];
            shares
                .f_to_device(tch::Device::Cpu)
                .and_then(|shares| shares.f_copy_data(&mut flat, shares.numel()))
                .map_err(LibtorchError::from)?;
            all.extend(flat.chunks_exact(outputs).map(<[f32]>::to_vec));
        }
        Ok(all)
    }

    /// Runs all samples through the network in order, [`BATCH`] at a time, or fewer if there is not enough
    /// memory: `what` must not have had any effect when it fails.
    pub(crate) fn for_each_batch(
        &self,
        feed: &DataLoader,
        what: impl FnMut(&Tensor, &Tensor) -> Result<(), LibtorchError>,
    ) -> Result<(), EvaluateError> {
        self.for_each_batch_of(feed, 0..feed.len(), what)
    }

    /// Like [`for_each_batch`](Self::for_each_batch), restricted to some of the samples.
    fn for_each_batch_of(
        &self,
        feed: &DataLoader,
        part: Range<usize>,
        mut what: impl FnMut(&Tensor, &Tensor) -> Result<(), LibtorchError>,
    ) -> Result<(), EvaluateError> {
        let (mut done, mut size) = (part.start, BATCH.min(part.len()));
        while done < part.end {
            for batch in feed.in_order(done..part.end, size)? {
                let batch = match batch {
                    Err(DataLoaderError::Data(error)) => return Err(error.into()),
                    Err(DataLoaderError::Libtorch(error)) => Err(ModelError::from(error)),
                    Ok(batch) => Ok(batch),
                };
                let taken = batch.and_then(|batch| {
                    what(&self.logits(&batch.inputs)?, &batch.targets)?;
                    Ok(())
                });
                match taken {
                    Ok(()) => done = feed.len().min(done + size),
                    Err(ModelError::Libtorch(error)) if error.is_out_of_memory() && size > 1 => {
                        size /= 2;
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// The contribution of some samples to the metrics of a data set.
#[derive(Debug, Default)]
struct Tally {
    /// The sum of the losses.
    loss: f64,
    /// The confusion matrix, row by row.
    counts: Vec<u64>,
}

impl Tally {
    fn to_bytes(&self) -> Vec<u8> {
        let numbers = std::iter::once(self.loss.to_bits()).chain(self.counts.iter().copied());
        numbers.flat_map(u64::to_le_bytes).collect()
    }

    fn of(bytes: &[u8]) -> Self {
        let numbers = bytes.chunks_exact(size_of::<u64>()).filter_map(|part| part.first_chunk());
        let mut numbers = numbers.map(|&number| u64::from_le_bytes(number));
        let loss = numbers.next().map_or(0.0, f64::from_bits);
        Self { loss, counts: numbers.collect() }
    }

    fn with(mut self, other: &Self) -> Self {
        self.loss += other.loss;
        self.counts.resize(other.counts.len().max(self.counts.len()), 0);
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self
    }
}

/// Checks that `dataset` has samples, and that they match the input of `model`.
pub(crate) fn check_samples(model: &Sequential, dataset: &Dataset) -> Result<(), EvaluateError> {
    if dataset.is_empty() {
        return Err(EvaluateError::Empty);
    }
    check_shape(model, dataset.sample_shape())
}

/// Checks that the samples and targets of `dataset` match the input and output of `model`.
pub(crate) fn check_fit(model: &Sequential, dataset: &Dataset) -> Result<(), EvaluateError> {
    check_samples(model, dataset)?;
    let (outputs, targets) = (model.outputs(), dataset.target_names().len());
    match dataset.target_kind() {
        // The metrics below are those of classes.
        _ if outputs == targets => Ok(dataset.classes_for("cross-entropy").map(|_| ())?),
        TargetKind::Class => Err(EvaluateError::Classes { outputs, classes: targets }),
        kind => Err(EvaluateError::Targets { outputs, targets, kind }),
    }
}

fn check_shape(model: &Sequential, samples: &[usize]) -> Result<(), EvaluateError> {
    let network = &model.spec().input_shape;
    // A network of vectors takes samples of any shape with as many values.
    if network[..] != *samples && network[..] != [samples.iter().product::<usize>()] {
        let (network, samples) = (network.clone(), samples.to_vec());
        return Err(EvaluateError::Shape { network, samples });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_little_memory_batches_are_smaller() -> Result<(), Box<dyn std::error::Error>> {
        let (_, test) = crate::data::load("digits")?;
        let builder = Sequential::new(test.sample_shape()).add(crate::layers::Flatten);
        let model = builder.add(crate::layers::Dense::new(10)).build(crate::Device::Cpu, 0)?;
        let feed = DataLoader::new(&test, crate::Device::Cpu)?;
        let (mut sizes, mut seen) = (Vec::new(), Vec::new());
        model.for_each_batch(&feed, |_, labels| {
            let samples = labels.numel();
            // The memory shrinks once more on the way.
            if samples > if seen.is_empty() { 200 } else { 100 } {
                return Err(LibtorchError::memory(1));
            }
            sizes.push(samples);
            seen.extend(Vec::<i64>::try_from(labels)?);
            Ok(())
        })?;
        assert_eq!(sizes, [180, 90, 90]);
        let all: Vec<i64> = (0..test.len()).map(|i| i64::from(test.label(i))).collect();
        assert_eq!(seen, all);
        let error = model.for_each_batch(&feed, |_, _| Err(LibtorchError::memory(1)));
        assert!(error.is_err());
        Ok(())
    }

    /// scikit-learn's precision_recall_fscore_support on y_true = [0,0,0,1,1,2],
    /// y_pred = [0,0,1,1,0,0] with zero_division=0.
    #[test]
    fn class_figures_match_scikit_learn() {
        let evaluation = Evaluation {
            loss: 0.0,
            accuracy: 0.5,
            samples: 6,
            confusion: vec![vec![2, 1, 0], vec![1, 1, 0], vec![1, 0, 0]],
        };
        let expected = [(0.5, 2.0 / 3.0, 4.0 / 7.0, 3), (0.5, 0.5, 0.5, 2), (0.0, 0.0, 0.0, 1)];
        for (got, (precision, recall, f1, support)) in evaluation.per_class().iter().zip(expected) {
            assert!((got.precision - precision).abs() < 1e-12, "{got:?}");
            assert!((got.recall - recall).abs() < 1e-12, "{got:?}");
            assert!((got.f1 - f1).abs() < 1e-12, "{got:?}");
            assert_eq!(got.support, support);
        }
    }
}
