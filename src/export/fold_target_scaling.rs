//! The scaling of the targets, made part of the last layer: other programs then compute the numbers themselves, in
//! every format, without an additional operation.

use std::sync::Arc;

use super::ExportError;
use crate::model::{Sequential, Spec};
use crate::target_scaling::TargetScaling;

/// Returns a network without target scaling that has the same predictions; none if `model` has no scaling. With the
/// last layer's weights W and bias b, scale · (W x + b) + offset has the weights scale · W and the bias
/// scale · b + offset.
///
/// # Errors
/// A last layer that is not a linear Dense layer, or libtorch's own errors.
pub(super) fn folded(model: &Sequential) -> Result<Option<Sequential>, ExportError> {
    let Some(TargetScaling { offset, scale }) = &model.spec().target_scaling else {
        return Ok(None);
    };
    let is_linear = model.spec().takes_target_scaling();
    let names: Vec<&str> = model.parameters().map(|(name, _)| name).collect();
    let (true, [.., weight, bias]) = (is_linear, &names[..]) else {
        return Err(ExportError::TargetScaling);
    };
    let mut tensors = model.weights()?;
    if let Some(weight) = tensors.get_mut(*weight) {
        let inputs = weight.shape.get(1).map_or(1, |&inputs| inputs.max(1));
        let rows = Arc::make_mut(&mut weight.values).chunks_exact_mut(inputs);
        rows.zip(scale).for_each(|(row, scale)| row.iter_mut().for_each(|value| *value *= scale));
    }
    if let Some(bias) = tensors.get_mut(*bias) {
        let values = Arc::make_mut(&mut bias.values).iter_mut();
        for (value, (scale, offset)) in values.zip(scale.iter().zip(offset)) {
            *value = *value * scale + offset;
        }
    }
    let spec = Spec { target_scaling: None, ..model.spec().clone() };
    let mut folded = Sequential::from_spec(spec, model.device(), 0)?;
    folded.set_weights(&tensors)?;
    Ok(Some(folded))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::layers::{Activation, Dense};
    use crate::model::OutputActivation;
    use tch::Tensor;

    fn model(last: Activation) -> Result<Sequential, crate::ModelError> {
        let scaling = TargetScaling { offset: vec![-20.0, 3e5], scale: vec![0.5, 4e4] };
        let mut model = Sequential::new([3])
            .add(Dense::new(4).activation(Activation::Tanh))
            .add(Dense::new(2).activation(last))
            .target_scaling(scaling)
            .build(Device::Cpu, 3)?;
        model.set_output(OutputActivation::Linear);
        Ok(model)
    }

    #[test]
    fn a_folded_network_has_the_same_predictions() -> Result<(), Box<dyn std::error::Error>> {
        let model = model(Activation::Linear)?;
        let x = Tensor::from_slice(&[0.5f32, -1.0, 2.0, 3.0, 0.0, -0.25]).reshape([2, 3]);
        let folded = folded(&model)?.ok_or("it has a scaling")?;
        let [expected, found] = [model.predict(&x)?, folded.predict(&x)?];
        assert!((&expected / &found - 1.0).abs().max().double_value(&[]) < 1e-6);
        // The scaling matters: the outputs before it are near 0.
        assert!(model.logits(&x)?.abs().max().double_value(&[]) < 10.0);
        assert!(expected.double_value(&[0, 1]) > 1e5);
        assert_eq!(folded.spec().target_scaling, None);
        Ok(())
    }

    #[test]
    fn only_a_linear_last_layer_can_take_the_scaling() -> Result<(), Box<dyn std::error::Error>> {
        let error = folded(&model(Activation::Relu)?).err().ok_or("folded")?.to_string();
        assert!(error.contains("linear Dense layer"), "{error}");
        let plain = Sequential::new([3]).add(Dense::new(2)).build(Device::Cpu, 0)?;
        assert!(folded(&plain)?.is_none());
        Ok(())
    }
}
