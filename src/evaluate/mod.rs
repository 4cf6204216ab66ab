//! Evaluation of a network on a dataset: loss, metrics, confusion matrix, metrics of each class.

mod batched_forward;
mod check_fit;
mod error;
mod evaluation;
mod kept_predictions;
mod occlusion;
mod predict;
mod residuals;
mod tally;

pub(crate) use check_fit::{check_fit, check_samples};
pub use error::EvaluateError;
pub use evaluation::{ClassFigures, Evaluation, Figures};
pub use occlusion::OcclusionMap;
pub use residuals::Residuals;

use std::collections::BTreeMap;

use crate::data::batches::DataLoader;
use crate::data::{Dataset, TargetKind};
use crate::group::rank_shard::RankShard;
use crate::group::{self, Group, SingleProcess};
use crate::losses::Loss;
use crate::metrics::{Metric, Predictions};
use crate::model::Sequential;
use kept_predictions::{Kept, Predicted};
use tally::Tally;

/// The settings of an evaluation. A `&FitConfig` converts into it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measures<'a> {
    /// The loss; none for the usual one of the targets: the first in the list that takes them from the network.
    pub loss: Option<&'a Loss>,
    /// The metrics.
    pub metrics: &'a [Metric],
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
}
