//! Notes on training data from which a network cannot learn well.

use super::dataset::Dataset;
use super::targets::{Target, TargetKind};

impl Dataset {
    /// Returns notes on this training data: features that are not scaled, and numbers to predict that are the same in
    /// every sample. Each names the columns and the cure.
    pub fn training_advice(&self) -> Vec<String> {
        let constant = self.constant_targets().into_iter().map(|name| {
            format!(
                "the target {name:?} is the same in every sample, as far as f32 tells (about 7 digits), so there is \
                 nothing to learn from it: leave it out, or if its values differ, save (y - y.mean()) / y.std()"
            )
        });
        self.unscaled_features()
            .map(|unscaled| unscaled.advice())
            .into_iter()
            .chain(constant)
            .collect()
    }

    /// Returns the names of the numbers to predict whose values are all the same, up to the precision of f32.
    fn constant_targets(&self) -> Vec<&str> {
        if self.target_kind() != TargetKind::Numbers {
            return Vec::new();
        }
        let mut ranges = vec![[f64::INFINITY, f64::NEG_INFINITY]; self.target_names().len()];
        for i in 0..self.len() {
            let Target::Numbers(numbers) = self.target(i) else { continue };
            for ([low, high], &number) in ranges.iter_mut().zip(numbers) {
                *low = low.min(f64::from(number));
                *high = high.max(f64::from(number));
            }
        }
        let is_constant = |[low, high]: [f64; 2]| {
            let least =
                (low.abs().max(high.abs()) * f64::from(f32::EPSILON)).max(f32::MIN_POSITIVE.into());
            high - low <= least
        };
        let names = self.target_names().iter().zip(ranges);
        names.filter(|(_, range)| is_constant(*range)).map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Dataset, Features, Targets};

    #[test]
    fn targets_that_f32_cannot_tell_apart_are_named() {
        let advice = |first: [f32; 3]| {
            let numbers: Vec<f32> =
                first.iter().flat_map(|&first| [first, -first * first]).collect();
            let features = Features::floats(vec![0.0, 1.0, -1.0], [1]);
            let targets = Targets::numbers(numbers, ["cost", "other"]);
            Dataset::from_arrays(features, targets).unwrap().training_advice()
        };
        assert_eq!(advice([1.0, 2.0, 3.0]), [""; 0]);
        // Timestamps, denormal numbers, and one value.
        for same in [[1e9, 1e9 + 64.0, 1e9], [1e-40, 3e-40, 2e-40], [3.7; 3]] {
            assert!(advice(same)[0].starts_with("the target \"cost\" is the same in every sample"));
        }
        let features = Features::floats(vec![0.0, 1.0], [1]);
        let classes = Targets::classes(vec![1, 1], ["a", "b"]);
        assert_eq!(Dataset::from_arrays(features, classes).unwrap().training_advice(), [""; 0]);
    }
}
