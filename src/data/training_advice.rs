//! Notes on training data from which a network cannot learn well.

use super::dataset::Dataset;
use super::targets::TargetKind;
use crate::message_text::significant;
use crate::target_scaling::moments;

/// The part of a target's standard deviation from which on the steps of f32 are coarse. The error of rounding to steps of
/// a tenth limits R² to 1 − 0.1² / 12 = 0.999.
const COARSE: f64 = 0.1;

/// The note on the numbers to predict.
const CURE: &str = "save (y - y.mean()) / y.std()";

impl Dataset {
    /// Returns notes on this training data: features that are not scaled, and numbers to predict that are the same in
    /// every sample, or rounded coarsely. Each names the columns and the cure.
    pub fn training_advice(&self) -> Vec<String> {
        let scale = self.unscaled_features().map(|unscaled| unscaled.advice());
        scale.into_iter().chain(self.target_notes()).collect()
    }

    fn target_notes(&self) -> Vec<String> {
        if self.target_kind() != TargetKind::Numbers {
            return Vec::new();
        }
        let names = self.target_names();
        let [_, deviations] = moments(self.number_rows(), names.len());
        let mut ranges = vec![[f32::INFINITY, f32::NEG_INFINITY]; names.len()];
        for row in self.number_rows() {
            for ([low, high], &number) in ranges.iter_mut().zip(row) {
                (*low, *high) = (low.min(number), high.max(number));
            }
        }
        let columns = names.iter().zip(ranges).zip(deviations);
        columns.filter_map(|((name, range), deviation)| note(name, range, deviation)).collect()
    }
}

/// Returns a note on numbers that are the same in f32, or that it rounds to coarse steps.
fn note(name: &str, [low, high]: [f32; 2], deviation: f64) -> Option<String> {
    let largest = low.abs().max(high.abs());
    // Between the largest number and the next.
    let step = f64::from(largest.next_up()) - f64::from(largest);
    if f64::from(high) - f64::from(low) <= step.max(f32::MIN_POSITIVE.into()) {
        return Some(format!(
            "the target {name:?} is the same in every sample, as far as f32 tells (about 7 digits), so there is \
             nothing to learn from it: leave it out, or if its values differ, {CURE}"
        ));
    }
    (step > COARSE * deviation).then(|| {
        let [step, largest, deviation] = [step, largest.into(), deviation].map(significant);
        format!(
            "the target {name:?} loses digits: f32 holds numbers near {largest} in steps of {step}, and its standard \
             deviation is {deviation}: {CURE}, computed in f64"
        )
    })
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
        // Numbers near 1e9 are multiples of 64, near 1e6 of 1/16.
        let coarse = advice([1e9, 1e9 + 64.0, 1e9 - 64.0]);
        assert_eq!(
            coarse[0],
            "the target \"cost\" loses digits: f32 holds numbers near 1e9 in steps of 64, and its standard deviation is \
             52.26: save (y - y.mean()) / y.std(), computed in f64"
        );
        assert_eq!(advice([1e6, 1e6 + 1.0, 1e6 - 1.0]), [""; 0]);
        let features = Features::floats(vec![0.0, 1.0], [1]);
        let classes = Targets::classes(vec![1, 1], ["a", "b"]);
        assert_eq!(Dataset::from_arrays(features, classes).unwrap().training_advice(), [""; 0]);
    }
}
