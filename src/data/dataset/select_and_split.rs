//! Views of a data set: selections, and the split into a training and a validation part.

use rand::seq::SliceRandom;

use super::Dataset;
use crate::data::error::{DataError, DatasetProblem};
use crate::data::targets::Target;
use crate::rng::{self, Purpose};

impl Dataset {
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

    /// Returns the samples at `indices`, which are all in range.
    fn view(&self, indices: impl Iterator<Item = u32>) -> Dataset {
        let index = indices.map(|i| self.position(i as usize) as u32).collect();
        Self { index: Some(index), ..self.clone() }
    }
}
