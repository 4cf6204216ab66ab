//! The same samples with other targets: relabeled classes, scaled numbers.

use std::sync::Arc;

use super::{Dataset, Store};
use crate::data::error::DataError;
use crate::data::pixel_scale::SCALE;
use crate::data::targets::{Target, TargetKind, Targets};
use crate::target_scaling::TargetScaling;

impl Dataset {
    /// Returns the same samples with `labels[label]` in place of each label, an index into `classes`; other
    /// targets than classes stay as they are.
    pub(in crate::data) fn relabeled(&self, labels: &[u8], classes: Vec<String>) -> Dataset {
        let label = |&old: &u8| labels.get(usize::from(old)).copied().unwrap_or_default();
        let targets = match &self.store.targets {
            Targets::Classes { classes: own, .. } => {
                Targets::Classes { classes: own.iter().map(label).collect(), names: classes }
            }
            other => other.clone(),
        };
        self.with_targets(targets)
    }

    /// Returns the scaling that gives the targets, if they are numbers, a mean of 0 and a standard deviation of 1;
    /// none for other targets. Fit it on the training part alone.
    pub fn target_scaling(&self) -> Option<TargetScaling> {
        let is_numbers = self.target_kind() == TargetKind::Numbers;
        is_numbers.then(|| TargetScaling::fit(self.number_rows(), self.target_names().len()))
    }

    /// Returns the numbers to predict of each sample; none of other targets.
    pub(in crate::data) fn number_rows(&self) -> impl Iterator<Item = &[f32]> + Clone {
        (0..self.len()).filter_map(|i| match self.target(i) {
            Target::Numbers(numbers) => Some(numbers),
            _ => None,
        })
    }

    /// Returns the means and the variances of the channels of pictures in color, whose pixels are scaled to \[0, 1\]; none
    /// for other samples. Fit them on the training part alone.
    ///
    /// # Errors
    /// A streamed data set that cannot be read.
    pub fn channel_moments(&self) -> Result<Option<[[f32; 3]; 2]>, DataError> {
        let Some(shape) = self.picture_shape().filter(|shape| shape.color) else { return Ok(None) };
        let plane = shape.height * shape.width;
        let mut sums = [(0u64, 0u64); 3];
        self.read_in_parts(0..self.len(), |images| {
            for (i, plane) in images.chunks_exact(plane).enumerate() {
                let (sum, squares) = &mut sums[i % 3];
                // Of whole numbers, so that the order does not matter.
                *sum += plane.iter().map(|&pixel| u64::from(pixel)).sum::<u64>();
                *squares += plane.iter().map(|&pixel| u64::from(pixel).pow(2)).sum::<u64>();
            }
            Ok(())
        })?;
        let count = (self.len() * plane).max(1) as f64;
        let mean = |sum: u64| sum as f64 / count / SCALE;
        let variance = |(sum, squares): (u64, u64)| {
            (squares as f64 / count / (SCALE * SCALE) - mean(sum).powi(2)).max(0.0) as f32
        };
        let means = sums.map(|(sum, _)| mean(sum) as f32);
        Ok(Some([means, sums.map(variance)]))
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
}
