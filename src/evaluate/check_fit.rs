//! Checks that samples and targets match a network's input and output.

use super::error::EvaluateError;
use crate::data::{Dataset, TargetKind};
use crate::model::Sequential;

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

/// Checks that samples of this shape match the input of `model`.
pub(super) fn check_shape(model: &Sequential, samples: &[usize]) -> Result<(), EvaluateError> {
    let network = &model.spec().input_shape;
    // A network of vectors takes samples of any shape with as many values.
    if network[..] != *samples && network[..] != [samples.iter().product::<usize>()] {
        let (network, samples) = (network.clone(), samples.to_vec());
        return Err(EvaluateError::Shape { network, samples });
    }
    Ok(())
}
