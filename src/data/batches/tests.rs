//! Tests of batches: on the host and on a device, of pixels and of numbers.

use std::rc::Rc;

use tch::Tensor;

use super::*;
use crate::data::{Features, Targets};
use crate::group::rank_shard::RankShard;

#[test]
fn host_and_device_gathering_agree_and_keep_the_partial_batch()
-> Result<(), Box<dyn std::error::Error>> {
    let pixels: Vec<u8> = (0..=255).chain(0..=103).collect();
    let labels = (0..40).map(|i| i % 4).collect();
    let classes = (0..4).map(|c| c.to_string()).collect();
    let dataset = Dataset::new(pixels, [3, 3], labels, classes)?;
    let host = DataLoader::new(&dataset, Device::Cpu)?;
    let device = Rc::new(DataLoader::resident(&dataset, Device::Cpu)?);
    let order: Vec<u32> = (0..40).rev().collect();
    let epoch = ResidentEpoch::new(&device, &order, 1)?.ok_or("it is resident")?;
    let mut sizes = Vec::new();
    for (i, a) in
        host.training_batches(&order, RankShard::WHOLE.of_batches(40, 16), 1, 0)?.enumerate()
    {
        let a = a?;
        let b = epoch.batch(16 * i, a.samples())?;
        assert!(a.inputs.equal(&b.inputs) && a.targets.equal(&b.targets));
        let (low, high) = (a.inputs.min().double_value(&[]), a.inputs.max().double_value(&[]));
        assert!(low >= 0.0 && high <= 1.0);
        sizes.push(a.samples());
    }
    assert_eq!(sizes, [16, 16, 8]);
    sizes.clear();
    for (a, b) in host.in_order(3..40, 16)?.zip(device.in_order(3..40, 16)?) {
        let (a, b) = (a?, b?);
        assert!(a.inputs.equal(&b.inputs) && a.targets.equal(&b.targets));
        sizes.push(a.samples());
    }
    assert_eq!(sizes, [16, 16, 5]);
    Ok(())
}

#[test]
fn numbers_are_taken_as_they_are_and_targets_by_kind() -> Result<(), Box<dyn std::error::Error>> {
    let values = [0.5, -1.5, 1e-3, 4e5, 7.0, 8.0, 9.0, 1.0];
    let features = || Features::floats(values, [2, 1]);
    let numbers = Targets::numbers([1.0, 2.5, -3.0, 4.0], ["y"]);
    let labels = Targets::labels([0, 1, 1, 1, 0, 0, 1, 0], ["a", "b"]);
    let order = [3, 0];
    for (targets, expected) in [(numbers, vec![4.0, 1.0]), (labels, vec![1.0, 0.0, 0.0, 1.0])] {
        let dataset = Dataset::from_arrays(features(), targets)?;
        let host = DataLoader::new(&dataset, Device::Cpu)?;
        let device = Rc::new(DataLoader::resident(&dataset, Device::Cpu)?);
        let resident = ResidentEpoch::new(&device, &order, 1)?.ok_or("it is resident")?;
        let made = host.training_batches(&order, std::iter::once(0..2), 1, 0)?.next();
        for batch in [made.ok_or("one batch")??, resident.batch(0, 2)?] {
            assert_eq!(batch.inputs.size(), [2, 2, 1]);
            assert_eq!(Vec::<f32>::try_from(batch.inputs.flatten(0, -1))?, [9.0, 1.0, 0.5, -1.5]);
            assert_eq!(batch.targets.size(), [2, expected.len() as i64 / 2]);
            assert_eq!(Vec::<f32>::try_from(batch.targets.flatten(0, -1))?, expected);
        }
        let in_order = host.in_order(1..3, 5)?.next().ok_or("one batch")??;
        assert_eq!(Vec::<f32>::try_from(in_order.inputs.flatten(0, -1))?, values[2..6]);
        let augment = Augment { rotation: 5.0, ..Augment::default() };
        let error = host.augmented(augment, 0, 1).err().ok_or("augmented")?.to_string();
        assert!(error.starts_with("augmentation needs pictures"), "{error}");
    }
    Ok(())
}

#[test]
fn pixels_in_color_keep_their_shape() -> Result<(), Box<dyn std::error::Error>> {
    let pixels: Vec<u8> = (0..24).map(|i| 10 * i).collect();
    let features = Features::pixels(pixels, [3, 2, 2]);
    let dataset = Dataset::from_arrays(features, Targets::classes([0, 1], ["a", "b"]))?;
    for loader in
        [DataLoader::new(&dataset, Device::Cpu)?, DataLoader::resident(&dataset, Device::Cpu)?]
    {
        let batch = loader.in_order(0..2, 2)?.next().ok_or("one batch")??;
        assert_eq!(batch.inputs.size(), [2, 3, 2, 2]);
        let expected: Vec<f32> = (0..24).map(|i| (10 * i) as f32 / 255.0).collect();
        assert_eq!(Vec::<f32>::try_from(batch.inputs.flatten(0, -1))?, expected);
    }
    Ok(())
}

#[test]
fn mixed_samples_are_the_same_on_the_host_and_on_a_device() -> Result<(), Box<dyn std::error::Error>>
{
    let weights: Vec<f32> = (0..200).map(|i| i as f32 / 100.0).collect();
    let (train, _) = crate::data::load("digits")?;
    let train = train.take(200).with_sample_weights(&weights)?;
    let augment = Augment { mixup: 0.5, cutmix: 1.0, rotation: 5.0, ..Augment::default() };
    let host = DataLoader::new(&train, Device::Cpu)?.augmented(augment, 5, 9)?;
    let device = DataLoader::resident(&train, Device::Cpu)?.augmented(augment, 5, 9)?;
    let order: Vec<u32> = (50..150).rev().collect();
    let epoch = ResidentEpoch::new(&Rc::new(device), &order, 3)?.ok_or("it is resident")?;
    let made = host.training_batches(&order, std::iter::once(0..100), 3, 0)?.next();
    let (own, other) = (made.ok_or("one batch")??, epoch.batch(0, 100)?);
    let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    assert!(difference(&own.inputs, &other.inputs) < 1e-4);
    assert!(own.targets.equal(&other.targets));
    let (own_mixed, other_mixed) = (own.mixed.ok_or("mixed")?, other.mixed.ok_or("mixed")?);
    assert!(own_mixed.0.equal(&other_mixed.0) && !own_mixed.0.equal(&own.targets));
    let (own_weights, other_weights) =
        (own.weights.ok_or("weights")?, other.weights.ok_or("weights")?);
    assert!(difference(&own_weights, &other_weights) < 1e-6);
    assert!(difference(&own_mixed.1, &other_mixed.1) < 1e-6);
    Ok(())
}

#[test]
fn workers_and_batch_sizes_change_no_sample() -> Result<(), Box<dyn std::error::Error>> {
    let (train, _) = crate::data::load("digits")?;
    let train = train.take(100);
    let augment = Augment {
        rotation: 20.0,
        elastic: 0.5,
        randaugment: 9.0,
        mixup: 0.2,
        cutmix: 1.0,
        ..Augment::default()
    };
    let loader = DataLoader::new(&train, Device::Cpu)?.augmented(augment, 5, 9)?;
    let order: Vec<u32> = (0..100).rev().collect();
    let all = |size, workers, epoch| -> Result<Tensor, LibtorchError> {
        let parts = RankShard::WHOLE.of_batches(order.len(), size);
        let batches = loader.training_batches(&order, parts, epoch, workers)?;
        let images = batches.map(|batch| Ok(batch?.inputs));
        Ok(Tensor::f_cat(&images.collect::<Result<Vec<_>, LibtorchError>>()?, 0)?)
    };
    let expected = all(100, 0, 3)?;
    assert_eq!(expected.size(), [100, 8, 8]);
    for (size, workers) in [(100, 1), (7, 0), (7, 1), (7, 3), (1, 2)] {
        assert!(all(size, workers, 3)?.equal(&expected), "{size} {workers}");
    }
    assert!(!all(100, 0, 4)?.equal(&expected));
    Ok(())
}
