//! The same samples with other targets: relabeled classes, scaled numbers.

use std::sync::Arc;

use super::{Dataset, Store};
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
}
