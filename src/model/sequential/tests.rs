//! Tests of networks: shapes, predictions, dropout, copies, seeds.

use tch::Kind;

use super::*;
use crate::layers::{Activation, Dense, Dropout, Flatten};

fn small() -> Builder {
    Sequential::new([2, 3]).add(Flatten).add(Dense::new(4).activation(Activation::Relu))
}

#[test]
fn flat_samples_are_accepted_and_wrong_shapes_refused() -> Result<(), ModelError> {
    let model = small().add(Dense::new(2)).build(Device::Cpu, 0)?;
    let x = Tensor::arange(12, (Kind::Float, Device::Cpu));
    let image = model.logits(&x.reshape([2, 2, 3]))?;
    assert_eq!(image.size(), [2, 2]);
    assert!(image.equal(&model.logits(&x.reshape([2, 6]))?));
    let error = model.logits(&x.reshape([3, 4])).map_err(|e| e.to_string());
    assert!(error.is_err_and(|e| e.contains("[2, 3]") && e.contains("[3, 4]")));
    Ok(())
}

#[test]
fn softmax_changes_predictions_not_logits() -> Result<(), ModelError> {
    let plain = small().add(Dense::new(2)).build(Device::Cpu, 7)?;
    let softmax =
        small().add(Dense::new(2).activation(Activation::Softmax)).build(Device::Cpu, 7)?;
    let x = Tensor::ones([1, 2, 3], (Kind::Float, Device::Cpu));
    assert!(plain.logits(&x)?.equal(&softmax.logits(&x)?));
    let sum = softmax.predict(&x)?.sum(Kind::Float).double_value(&[]);
    assert!((sum - 1.0).abs() < 1e-6);
    assert!(plain.predict(&x)?.equal(&softmax.predict(&x)?));
    Ok(())
}

#[test]
fn dropout_is_active_only_in_training_and_keeps_the_mean() -> Result<(), ModelError> {
    let model = Sequential::new([10_000])
        .add(Dropout::new(0.25))
        .add(Dense::new(1))
        .build(Device::Cpu, 0)?;
    // All weights 1: the output is the sum of the values that dropout passes.
    let mut weight = model.tensors()[0].shallow_clone();
    let _ = tch::no_grad(|| weight.fill_(1.0));
    let x = Tensor::ones([1, 10_000], (Kind::Float, Device::Cpu));
    let sum = |mode| model.forward(&x, mode).map(|y| y.double_value(&[0, 0]));
    assert_eq!(sum(Mode::Inference)?, 10_000.0);
    let step = |step| sum(Mode::Training { seed: 1, step });
    // Standard deviation √(10000 · 0.25 / 0.75) = 58.
    assert!((step(0)? - 10_000.0).abs() < 300.0 && step(0)? != 10_000.0);
    assert_eq!(step(0)?, step(0)?);
    assert!(step(0)? != step(1)?);
    Ok(())
}

#[test]
fn a_clone_is_independent_and_can_move_to_a_thread() -> Result<(), ModelError> {
    let model = small().add(Dense::new(2)).build(Device::Cpu, 0)?;
    let before = model.weights()?;
    let mut copy = model.clone();
    let copied = std::thread::spawn(move || {
        for (_, tensor) in copy.variables_mut() {
            assert!(tensor.requires_grad() && tensor.is_leaf());
            let _ = tch::no_grad(|| tensor.zero_());
        }
        copy.weights()
    });
    let copied = copied.join().unwrap()?;
    assert!(copied["1.weight"].values.iter().all(|&value| value == 0.0));
    assert_eq!(model.weights()?, before);
    assert!(before["1.weight"].values.iter().any(|&value| value != 0.0));
    Ok(())
}

#[test]
fn biases_start_at_zero_and_seeds_repeat() -> Result<(), ModelError> {
    let build = |seed| small().add(Dense::new(2)).build(Device::Cpu, seed);
    let (a, b, c) = (build(3)?, build(3)?, build(4)?);
    let names: Vec<_> = a.parameters().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, ["1.weight", "1.bias", "3.weight", "3.bias"]);
    for (i, (x, y)) in a.tensors().iter().zip(b.tensors()).enumerate() {
        assert!(x.equal(y));
        let is_bias = i % 2 == 1;
        assert_eq!(is_bias, x.equal(&x.zeros_like()));
        assert_eq!(is_bias, x.equal(&c.tensors()[i]));
    }
    Ok(())
}
