//! The scaling of the numbers that a network learns to predict.
//!
//! A network's first outputs are near 0 and change by little in a step, so it learns numbers with a mean of 0 and a
//! standard deviation of 1 fastest. The loss is computed on scaled targets, and predictions are scaled back.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::native::{LibtorchError, tensor_buffer};

/// How the targets of a network for regression are scaled: (target − offset) / scale for each number, as by
/// scikit-learn's `StandardScaler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaling {
    /// The mean, which is subtracted from each number.
    pub offset: Vec<f32>,
    /// What each difference is divided by: the standard deviation.
    pub scale: Vec<f32>,
}

impl TargetScaling {
    /// Returns the scaling of `numbers` numbers by their mean and standard deviation (divided by n) over the rows. A
    /// number that is the same in all rows, up to the precision of f32, gets the scale 1.
    pub fn fit<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone, numbers: usize) -> Self {
        let [mean, deviation] = moments(rows, numbers);
        let scale = deviation.iter().zip(&mean).map(|(&deviation, mean)| {
            let deviation = deviation as f32;
            let least = (mean.abs() as f32 * f32::EPSILON).max(f32::MIN_POSITIVE);
            if deviation > least && deviation.is_finite() { deviation } else { 1.0 }
        });
        let scale = scale.collect();
        Self { offset: mean.into_iter().map(|mean| mean as f32).collect(), scale }
    }

    /// Returns whether it is one for `numbers` numbers that can be undone: all are finite, and no scale is 0.
    pub(crate) fn is_valid(&self, numbers: usize) -> bool {
        let Self { offset, scale } = self;
        [offset.len(), scale.len()] == [numbers; 2]
            && offset.iter().chain(scale).all(|value| value.is_finite())
            && scale.iter().all(|&scale| scale > 0.0)
    }

    /// Scales rows of numbers, one after the other.
    pub(crate) fn scale(&self, values: &[f32]) -> Vec<f32> {
        let factors = self.offset.iter().zip(&self.scale).cycle();
        values
            .iter()
            .zip(factors)
            .map(|(value, (offset, scale))| (value - offset) / scale)
            .collect()
    }

    /// Scales targets \[batch, numbers\].
    pub(crate) fn scale_tensor(&self, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let [offset, scale] = self.tensors(targets.device())?;
        Ok(targets.f_sub(&offset)?.f_div(&scale)?)
    }

    /// Scales outputs \[batch, numbers\] back.
    pub(crate) fn undo(&self, outputs: &Tensor) -> Result<Tensor, LibtorchError> {
        let [offset, scale] = self.tensors(outputs.device())?;
        Ok(outputs.f_to_kind(Kind::Float)?.f_mul(&scale)?.f_add(&offset)?)
    }

    fn tensors(&self, device: Device) -> Result<[Tensor; 2], LibtorchError> {
        Ok([
            tensor_buffer::on_device(&self.offset, device)?,
            tensor_buffer::on_device(&self.scale, device)?,
        ])
    }
}

/// Returns the means and the standard deviations (divided by n) of `numbers` numbers over the rows.
pub(crate) fn moments<'a>(
    rows: impl Iterator<Item = &'a [f32]> + Clone,
    numbers: usize,
) -> [Vec<f64>; 2] {
    let mut samples = 0f64;
    let mut mean = vec![0f64; numbers];
    for row in rows.clone() {
        samples += 1.0;
        mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    mean.iter_mut().for_each(|sum| *sum /= samples.max(1.0));
    // The second pass over the differences loses no digits, however far from 0 the mean is.
    let mut squares = vec![0f64; numbers];
    for row in rows {
        for ((sum, &value), mean) in squares.iter_mut().zip(row).zip(&mean) {
            *sum += (f64::from(value) - mean).powi(2);
        }
    }
    let deviation = squares.iter().map(|sum| (sum / samples.max(1.0)).sqrt()).collect();
    [mean, deviation]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(values: &[f32], numbers: usize) -> TargetScaling {
        TargetScaling::fit(values.chunks(numbers), numbers)
    }

    /// numpy.mean(x, 0) and numpy.std(x, 0) of x = [[1e6, 1, 5], [1e6 + 1, -2, 5], [1e6 + 3, 4.5, 5]], which
    /// StandardScaler has as mean_ and scale_, except for 1 in place of 0.
    #[test]
    fn the_scaling_is_mean_and_standard_deviation() {
        let values = [1e6, 1.0, 5.0, 1e6 + 1.0, -2.0, 5.0, 1e6 + 3.0, 4.5, 5.0];
        let scaling = fit(&values, 3);
        assert_eq!(scaling.offset, [1_000_001.3, 1.166_666_6, 5.0]);
        assert_eq!(scaling.scale, [1.247_219_1, 2.656_229_5, 1.0]);
        assert!(scaling.is_valid(3) && !scaling.is_valid(2));
    }

    #[test]
    fn scaled_numbers_come_back() -> Result<(), LibtorchError> {
        let values = [0.5f32, 100.0, 2.5, 300.0, 4.75, -50.0];
        let scaling = fit(&values, 2);
        let scaled = scaling.scale(&values);
        let tensor = Tensor::f_from_slice(&values)?.f_reshape([3, 2])?;
        let by_libtorch = scaling.scale_tensor(&tensor)?;
        assert_eq!(Vec::<f32>::try_from(by_libtorch.f_flatten(0, -1)?)?, scaled);
        let back = Vec::<f32>::try_from(scaling.undo(&by_libtorch)?.f_flatten(0, -1)?)?;
        for (back, value) in back.iter().zip(values) {
            // Three roundings of f32, of numbers of at most 300.
            assert!((back - value).abs() < 1e-4, "{back} {value}");
        }
        Ok(())
    }

    #[test]
    fn numbers_that_do_not_vary_are_not_divided_by_rounding_errors() {
        let rows = [0.1f32; 30];
        assert_eq!(fit(&rows, 1), TargetScaling { offset: vec![0.1], scale: vec![1.0] });
        assert_eq!(fit(&[], 1), TargetScaling { offset: vec![0.0], scale: vec![1.0] });
    }
}
