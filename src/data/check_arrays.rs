//! The rules for the arrays of a data set.

use super::error::DatasetProblem;
use super::features::{Features, Values};
use super::targets::Targets;
use crate::f32_range::first_not_finite;

impl Features {
    /// Checks that the values form whole samples, at least one, of finite numbers.
    ///
    /// # Errors
    /// The first rule that is broken; a number that is NaN or infinite is named by sample and column.
    pub fn check(&self) -> Result<(), DatasetProblem> {
        check_features(&self.values, &self.shape, self.len())
    }
}

/// Checks that features and targets form a data set.
pub(super) fn check(
    values: &Values,
    shape: &[usize],
    targets: &Targets,
) -> Result<(), DatasetProblem> {
    check_features(values, shape, targets.len())?;
    check_targets(targets)
}

/// Checks that features are this number of samples, of finite numbers.
fn check_features(values: &Values, shape: &[usize], samples: usize) -> Result<(), DatasetProblem> {
    let each = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    if samples == 0 || shape.is_empty() || each == Some(0) {
        return Err(DatasetProblem::NoValues { samples, shape: shape.to_vec() });
    }
    if each.and_then(|each| each.checked_mul(samples)) != Some(values.len()) {
        let (shape, values) = (shape.to_vec(), values.len());
        return Err(DatasetProblem::Features { samples, shape, values });
    }
    if let Values::Floats(floats) = values
        && let Some((sample, place, found)) = not_finite(floats, shape)
    {
        return Err(DatasetProblem::NotFinite { what: "features", sample, place, found });
    }
    Ok(())
}

/// Checks targets by themselves.
pub(super) fn check_targets(targets: &Targets) -> Result<(), DatasetProblem> {
    let (samples, width) = (targets.len(), targets.names().len());
    if u32::try_from(samples).is_err() {
        return Err(DatasetProblem::TooMany(samples));
    }
    let whole = |values: usize| match width > 0 && values.is_multiple_of(width) {
        true => Ok(()),
        false => Err(DatasetProblem::Targets { kind: targets.kind(), names: width, values }),
    };
    match targets {
        Targets::Classes { classes: labels, names } => {
            if !(2..=256).contains(&names.len()) {
                return Err(DatasetProblem::Classes(names.len()));
            }
            match first_outside(labels, names.len()) {
                None => Ok(()),
                Some(sample) => {
                    let (label, classes) = (labels[sample], names.len());
                    Err(DatasetProblem::Label { sample, label, classes })
                }
            }
        }
        Targets::Labels { values, .. } => {
            whole(values.len())?;
            match values.iter().position(|&value| value > 1) {
                None => Ok(()),
                Some(at) => {
                    let (sample, column, found) = (at / width, at % width, values[at]);
                    Err(DatasetProblem::LabelValue { sample, column, found })
                }
            }
        }
        Targets::Numbers { values, .. } => {
            whole(values.len())?;
            match not_finite(values, &[width]) {
                None => Ok(()),
                Some((sample, place, found)) => {
                    Err(DatasetProblem::NotFinite { what: "targets", sample, place, found })
                }
            }
        }
    }
}

/// Returns the first sample whose label has no class.
pub(super) fn first_outside(labels: &[u8], classes: usize) -> Option<usize> {
    labels.iter().position(|&label| usize::from(label) >= classes)
}

/// Returns the first number that is NaN or infinite: its sample, its place in it, and the number.
fn not_finite(values: &[f32], shape: &[usize]) -> Option<(usize, Vec<usize>, f32)> {
    let at = first_not_finite(values)?;
    let (sample, place) = place_of(at, shape);
    Some((sample, place, values[at]))
}

/// Returns the sample that a value belongs to, and its index along each axis of the sample.
pub(super) fn place_of(at: usize, shape: &[usize]) -> (usize, Vec<usize>) {
    let mut rest = at;
    let mut place: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let index = rest % size;
            rest /= size;
            index
        })
        .collect();
    place.reverse();
    (rest, place)
}
