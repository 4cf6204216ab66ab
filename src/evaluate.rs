//! Evaluation of a network on a dataset: loss, metrics, confusion matrix, metrics of each class.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::data::batches::{self, DataLoader, DataLoaderError};
use crate::data::{DataError, Dataset, TargetKind, Targets};
use crate::group::rank_shard::RankShard;
use crate::group::{self, Group, GroupError, SingleProcess};
use crate::losses::{self, Loss, LossError};
use crate::metrics::{Counts, Metric, MetricError, Predictions, Undefined};
use crate::model::{ModelError, OutputActivation, Sequential};
use crate::native::LibtorchError;

/// Samples per forward pass: large enough to be fast, small enough to need little memory (MNIST: 6 MB).
const BATCH: usize = 2048;

/// What an evaluation computes. A `&FitConfig` converts into it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measures<'a> {
    /// The loss; none for the usual one of the targets: the first in the list that takes them from the network.
    pub loss: Option<&'a Loss>,
    /// The metrics.
    pub metrics: &'a [Metric],
}

/// Loss and metrics over a whole dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Mean loss: the cross-entropy in nats, or that of the loss that was asked for.
    pub loss: f64,
    /// Fraction of samples whose true class has the highest logit; of several labels, the fraction of correct
    /// labels at a threshold of 0.5; none for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Number of samples.
    pub samples: usize,
    /// Counts by true class (row) and predicted class (column); empty for other targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// The metrics that were asked for, except for the accuracy and those without a value, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// The reasons that metrics have no value, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub undefined: BTreeMap<String, String>,
    /// The counts of each label at a threshold of 0.5; empty for other targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Counts>,
    /// The errors of each number; empty for other targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residuals: Vec<Residuals>,
}

/// The errors of a number over a dataset, prediction minus target, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residuals {
    /// Their mean, above 0 where predictions are too high.
    pub mean: f64,
    /// Their standard deviation around the mean.
    pub standard_deviation: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
    /// The mean absolute error.
    pub mae: f64,
    /// The root mean squared error.
    pub rmse: f64,
}

/// The summary of an [`Evaluation`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Mean loss.
    pub loss: f64,
    /// Fraction of correct predictions; none for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Number of samples.
    pub samples: usize,
    /// Further metrics, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

impl From<&Evaluation> for Figures {
    fn from(evaluation: &Evaluation) -> Self {
        let Evaluation { loss, accuracy, samples, metrics, .. } = evaluation;
        Self { loss: *loss, accuracy: *accuracy, samples: *samples, metrics: metrics.clone() }
    }
}

impl Figures {
    /// Returns loss, accuracy and metrics as text, with a word for the samples: "loss 0.0812, accuracy 97.60 % of
    /// 10000 images, f1_macro 0.9751".
    pub fn describe(&self, samples: &str) -> String {
        let Self { loss, accuracy, samples: count, metrics } = self;
        let accuracy = accuracy.map(|fraction| format!(", accuracy {:.2} %", 100.0 * fraction));
        let mut text =
            format!("loss {loss:.4}{} of {count} {samples}", accuracy.unwrap_or_default());
        for (name, value) in metrics {
            text += &format!(", {name} {value:.4}");
        }
        text
    }
}

/// Writes what [`describe`](Figures::describe) returns, of "samples".
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe("samples"))
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
    /// The network predicts numbers, and the dataset has other targets.
    #[error("the network scales its targets, which are numbers, and the dataset's targets are {0}")]
    Scaling(TargetKind),
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
    /// The outputs are not probabilities of classes.
    #[error(
        "{user} is for networks whose outputs are probabilities of classes (softmax), and this one's are {}: evaluate, \
         report and export take every network",
        .found.name()
    )]
    NoClasses {
        /// What needs classes.
        user: &'static str,
        /// What turns the network's outputs into predictions.
        found: OutputActivation,
    },
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
    /// The loss does not take the targets, or not from this network.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// A metric is not for the targets.
    #[error(transparent)]
    Metric(#[from] MetricError),
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
    /// Returns precision, recall and F1 of each class or label, in their order; nothing for numbers.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        let counts = (0..self.confusion.len()).map(|class| Counts {
            correct: self.confusion[class][class],
            predicted: self.confusion.iter().map(|row| row[class]).sum(),
            support: self.confusion[class].iter().sum(),
        });
        let figures = |counts: Counts| {
            let (precision, recall) = (counts.precision(), counts.recall());
            let sum = precision + recall;
            let f1 = if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum };
            ClassFigures { precision, recall, f1, support: counts.support }
        };
        counts.chain(self.labels.iter().copied()).map(figures).collect()
    }

    /// Adds the metrics, and the tables of labels or numbers, that need all predictions.
    fn add(&mut self, predictions: &Predictions, metrics: &[Metric]) {
        match predictions.kind() {
            TargetKind::Class if self.confusion.is_empty() => {
                self.confusion = vec![vec![0; predictions.outputs()]; predictions.outputs()];
                for (class, predicted) in predictions.classes().zip(predictions.predicted_classes())
                {
                    self.confusion[class][predicted] += 1;
                }
            }
            TargetKind::Class => {}
            TargetKind::Labels => self.labels = Counts::of(predictions),
            TargetKind::Numbers => self.residuals = Residuals::of(predictions),
        }
        if self.accuracy.is_none() {
            self.accuracy = Metric::Accuracy.value(predictions).ok();
        }
        for metric in metrics.iter().filter(|metric| **metric != Metric::Accuracy) {
            self.keep(metric, metric.value(predictions));
        }
    }

    fn keep(&mut self, metric: &Metric, value: Result<f64, Undefined>) {
        match value {
            Ok(value) => drop(self.metrics.insert(metric.name(), value)),
            Err(why) => drop(self.undefined.insert(metric.name(), why.to_string())),
        }
    }
}

/// Writes what [`Figures`] writes.
impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Figures::from(self).fmt(f)
    }
}

impl Residuals {
    /// Returns the errors of each number.
    pub(crate) fn of(predictions: &Predictions) -> Vec<Self> {
        let (samples, outputs) = (predictions.samples() as f64, predictions.outputs());
        let errors: Vec<f64> = predictions.errors().collect();
        let of_number = |number: usize| {
            let errors = || errors.iter().skip(number).step_by(outputs).copied();
            let mean_of = |of: fn(f64) -> f64| errors().map(of).sum::<f64>() / samples;
            let mean = mean_of(|error| error);
            let variance = errors().map(|error| (error - mean).powi(2)).sum::<f64>() / samples;
            Self {
                mean,
                standard_deviation: variance.sqrt(),
                min: errors().fold(f64::INFINITY, f64::min),
                max: errors().fold(f64::NEG_INFINITY, f64::max),
                mae: mean_of(f64::abs),
                rmse: mean_of(|error| error * error).sqrt(),
            }
        };
        (0..outputs).map(of_number).collect()
    }
}

impl Sequential {
    /// Computes the usual loss of the targets, the accuracy and, for classes, the confusion matrix on `dataset`:
    /// every sample once, dropout off. [`evaluate_with`](Self::evaluate_with) computes others.
    ///
    /// # Errors
    /// A dataset that does not match the network, or libtorch's own errors.
    pub fn evaluate(&self, dataset: &Dataset) -> Result<Evaluation, EvaluateError> {
        self.evaluate_with(dataset, Measures::default())
    }

    /// Like [`evaluate`](Self::evaluate), but with the loss and the metrics of `measures`, which may be the
    /// `&FitConfig` of the training.
    ///
    /// # Errors
    /// Like [`evaluate`](Self::evaluate); a loss or a metric that is not for the targets.
    pub fn evaluate_with<'a>(
        &self,
        dataset: &Dataset,
        measures: impl Into<Measures<'a>>,
    ) -> Result<Evaluation, EvaluateError> {
        self.evaluate_distributed(&SingleProcess, dataset, measures)
    }

    /// Like [`evaluate_with`](Self::evaluate_with), but each rank of `group` evaluates its part of the samples,
    /// and all ranks get the metrics of the whole. Every rank has the same network and the whole data set.
    ///
    /// # Errors
    /// Like [`evaluate_with`](Self::evaluate_with); a different data set on some rank, or a rank that does not
    /// respond.
    pub fn evaluate_distributed<'a>(
        &self,
        group: &dyn Group,
        dataset: &Dataset,
        measures: impl Into<Measures<'a>>,
    ) -> Result<Evaluation, EvaluateError> {
        check_fit(self, dataset)?;
        if group.size() > 1 {
            group::verify_consistent_across_ranks(group, &dataset.facts("data to evaluate on")?)?;
        }
        self.evaluate_shared(group, &DataLoader::new(dataset, self.device())?, measures.into())
    }

    /// Like [`evaluate_distributed`](Self::evaluate_distributed), for data that is already on the device.
    pub(crate) fn evaluate_shared(
        &self,
        group: &dyn Group,
        feed: &DataLoader,
        measures: Measures,
    ) -> Result<Evaluation, EvaluateError> {
        Ok(self.evaluate_keeping(group, feed, measures)?.0)
    }

    /// Like [`evaluate_shared`](Self::evaluate_shared), and returns the predictions, \[samples, outputs\] row by
    /// row, and the targets that the evaluation needed; none for classes without further metrics.
    pub(crate) fn evaluate_keeping(
        &self,
        group: &dyn Group,
        feed: &DataLoader,
        Measures { loss, metrics }: Measures,
    ) -> Result<(Evaluation, Option<Predicted>), EvaluateError> {
        let (targets, names) = (feed.dataset().target_kind(), feed.dataset().target_names());
        let loss = self.loss_for(loss, targets, names.len())?;
        Metric::check_all(metrics)?;
        metrics.iter().try_for_each(|metric| metric.check_for(targets))?;
        let share = RankShard::of_rank(group);
        let is_counted = targets.is_class() && self.outputs() > 1;
        let mut kept = (!is_counted || !metrics.is_empty()).then(Kept::default);
        let own = self.tally(feed, share.of(feed.len()), &loss, is_counted, kept.as_mut())?;
        let parts = group.all_gather(&own.to_bytes())?;
        let total = parts.iter().fold(Tally::default(), |sum, part| sum.with(&Tally::of(part)));
        let classes = self.outputs();
        let confusion: Vec<Vec<u64>> = total.counts.chunks(classes).map(<[u64]>::to_vec).collect();
        let right: u64 = confusion.iter().enumerate().map(|(i, row)| row[i]).sum();
        let samples = feed.len();
        let mut evaluation = Evaluation {
            loss: total.loss / samples as f64,
            accuracy: is_counted.then(|| right as f64 / samples as f64),
            samples,
            confusion,
            metrics: BTreeMap::new(),
            undefined: BTreeMap::new(),
            labels: Vec::new(),
            residuals: Vec::new(),
        };
        let Some(kept) = kept else { return Ok((evaluation, None)) };
        let (values, targets) = kept.gathered(group)?.finish(targets, names);
        match Predictions::new(&values, &targets) {
            Ok(predictions) => evaluation.add(&predictions, metrics),
            Err(why) => metrics.iter().for_each(|m| evaluation.keep(m, Err(why.clone()))),
        }
        Ok((evaluation, Some((values, targets))))
    }

    /// Returns the loss to compute: the given one, or the usual one of the targets.
    fn loss_for(
        &self,
        loss: Option<&Loss>,
        targets: TargetKind,
        count: usize,
    ) -> Result<Loss, EvaluateError> {
        let takes = |loss: &Loss| loss.check(self.spec(), targets, count);
        let loss = match loss {
            // Both have the same values, and this form needs no one-hot targets.
            Some(Loss::Categorical) => Loss::Sparse,
            Some(loss) => loss.clone(),
            None => Loss::all().into_iter().find(|loss| takes(loss).is_ok()).unwrap_or_default(),
        };
        takes(&loss)?;
        Ok(loss)
    }

    /// Computes the contribution of some of the samples to loss and confusion matrix, the latter if `is_counted`,
    /// and appends predictions and targets to `kept`.
    fn tally(
        &self,
        feed: &DataLoader,
        part: Range<usize>,
        loss: &Loss,
        is_counted: bool,
        mut kept: Option<&mut Kept>,
    ) -> Result<Tally, EvaluateError> {
        let _no_grad = tch::no_grad_guard();
        let kind = loss.kind();
        let activation = kind.output_activation();
        let classes = if is_counted { self.outputs() as i64 } else { 0 };
        let (int, double) = ((Kind::Int64, self.device()), (Kind::Double, self.device()));
        let mut loss = Tensor::f_zeros([0i64; 0], double).map_err(LibtorchError::from)?;
        let mut counts = Tensor::f_zeros([classes * classes], int).map_err(LibtorchError::from)?;
        self.for_each_batch_of(feed, part, |logits, targets| {
            let samples = targets.size().first().copied().unwrap_or(0);
            let mean = kind.mean(logits, &self.loss_targets(targets)?)?.f_to_kind(Kind::Double)?;
            let sum = mean.f_mul_scalar(samples)?;
            if let Some(kept) = &mut kept {
                kept.append(&self.prediction_with(activation, logits)?, targets)?;
            }
            if is_counted {
                let cell = targets.f_mul_scalar(classes)?.f_add_(&logits.f_argmax(-1, false)?)?;
                // Not bincount, which on a GPU would wait for the device at every batch.
                let _ = counts.f_index_add_(0, &cell, &cell.f_ones_like()?)?;
            }
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
        self.for_all(dataset, |logits| Ok(logits.shallow_clone()))
    }

    /// Returns the prediction for every sample in order, as [`predict`](Self::predict) returns it: f32 [samples,
    /// outputs] on the CPU.
    ///
    /// # Errors
    /// Like [`evaluate`](Self::evaluate).
    pub fn predictions_of(&self, dataset: &Dataset) -> Result<Tensor, EvaluateError> {
        self.for_all(dataset, |logits| self.prediction_of(logits))
    }

    /// Returns what `of` makes of the logits of all samples.
    fn for_all(
        &self,
        dataset: &Dataset,
        of: impl Fn(&Tensor) -> Result<Tensor, LibtorchError>,
    ) -> Result<Tensor, EvaluateError> {
        let _no_grad = tch::no_grad_guard();
        check_fit(self, dataset)?;
        let feed = DataLoader::new(dataset, self.device())?;
        let mut parts = Vec::new();
        self.for_each_batch(&feed, |logits, _| {
            parts.push(of(logits)?.f_to_device(tch::Device::Cpu)?);
            Ok(())
        })?;
        Ok(Tensor::f_cat(&parts, 0).map_err(LibtorchError::from)?)
    }

    /// Checks that the outputs are probabilities of `classes` classes that exclude each other, for `user`, the
    /// subject of the error.
    ///
    /// # Errors
    /// [`EvaluateError::NoClasses`].
    pub fn require_classes(&self, user: &'static str, classes: usize) -> Result<(), EvaluateError> {
        match losses::target_kind(self.spec(), classes) {
            TargetKind::Class => Ok(()),
            _ => Err(EvaluateError::NoClasses { user, found: self.spec().output }),
        }
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

/// Predictions, \[samples, outputs\] row by row, and their targets.
pub(crate) type Predicted = (Vec<f32>, Targets);

/// Predictions and targets of some samples on the host, both row by row.
#[derive(Debug, Default)]
struct Kept {
    predictions: Vec<f32>,
    targets: Vec<f32>,
}

impl Kept {
    /// Appends a batch.
    fn append(&mut self, predictions: &Tensor, targets: &Tensor) -> Result<(), LibtorchError> {
        for (tensor, values) in [(predictions, &mut self.predictions), (targets, &mut self.targets)]
        {
            let tensor = tensor.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?;
            let begin = values.len();
            values.resize(begin + tensor.numel(), 0.0);
            tensor.f_contiguous()?.f_copy_data(&mut values[begin..], tensor.numel())?;
        }
        Ok(())
    }

    /// Returns those of all ranks, in the order of the samples.
    fn gathered(self, group: &dyn Group) -> Result<Self, GroupError> {
        if group.size() == 1 {
            return Ok(self);
        }
        let all = |values: &[f32]| -> Result<Vec<f32>, GroupError> {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let parts = group.all_gather(&bytes)?;
            let values = parts.iter().flat_map(|part| part.chunks_exact(size_of::<f32>()));
            Ok(values.filter_map(|b| b.first_chunk()).map(|b| f32::from_le_bytes(*b)).collect())
        };
        Ok(Self { predictions: all(&self.predictions)?, targets: all(&self.targets)? })
    }

    /// Returns one prediction for each name, and the targets.
    fn finish(mut self, targets: TargetKind, names: &[String]) -> Predicted {
        let small = || self.targets.iter().map(|&value| value as u8).collect::<Vec<_>>();
        let samples = self.predictions.len();
        let targets = match targets {
            TargetKind::Class => Targets::classes(small(), names),
            TargetKind::Labels => Targets::labels(small(), names),
            TargetKind::Numbers => Targets::numbers(std::mem::take(&mut self.targets), names),
        };
        // Of two classes with one output, that is the probability of the second.
        if targets.kind().is_class() && names.len() == 2 && targets.len() == samples {
            self.predictions = self.predictions.iter().flat_map(|&p| [1.0 - p, p]).collect();
        }
        (self.predictions, targets)
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

/// Checks that `dataset` has samples, that they match the input of `model`, and that its targets can be scaled.
pub(crate) fn check_samples(model: &Sequential, dataset: &Dataset) -> Result<(), EvaluateError> {
    if dataset.is_empty() {
        return Err(EvaluateError::Empty);
    }
    if model.spec().target_scaling.is_some() && dataset.target_kind() != TargetKind::Numbers {
        return Err(EvaluateError::Scaling(dataset.target_kind()));
    }
    check_shape(model, dataset.sample_shape())
}

/// Checks that the samples and targets of `dataset` match the input and output of `model`.
pub(crate) fn check_fit(model: &Sequential, dataset: &Dataset) -> Result<(), EvaluateError> {
    check_samples(model, dataset)?;
    let (outputs, targets) = (model.outputs(), dataset.target_names().len());
    match dataset.target_kind() {
        _ if outputs == targets => Ok(()),
        // Two classes may have one output, the probability of the second.
        TargetKind::Class if (outputs, targets) == (1, 2) => Ok(()),
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
            accuracy: Some(0.5),
            samples: 6,
            confusion: vec![vec![2, 1, 0], vec![1, 1, 0], vec![1, 0, 0]],
            metrics: BTreeMap::new(),
            undefined: BTreeMap::new(),
            labels: Vec::new(),
            residuals: Vec::new(),
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
