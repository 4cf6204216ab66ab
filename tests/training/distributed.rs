//! Tests that any number of ranks reach the same result as one process, up to rounding, and that all ranks
//! follow the decisions of rank 0's callbacks. The ranks are threads here; tests/mpi.rs uses processes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(not(feature = "mpi"))]
use crate::common;
use seqfit::callback::{
    BatchInfo, Callback, CallbackError, EarlyStopping, EarlyStoppingConfig, Flow, ReduceLrConfig,
    ReduceLrOnPlateau, Training,
};
use seqfit::data::{self, Augment, Dataset, StreamMemory};
use seqfit::group::{self, Group, GroupError, Threads};
use seqfit::layers::{BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Reshape};
use seqfit::tensors::Tensors;
use seqfit::{
    Activation, Adam, AdamW, Device, Engine, EpochRecord, FitConfig, History, Measures, Monitor,
    OnNan, Optimizer, RmsProp, Schedule, Sequential, Sgd, Snapshot, TrainError,
};

#[test]
#[cfg(not(feature = "mpi"))]
fn ranks_under_mpirun() {
    common::not_here(
        "tests/mpi.rs, whose ranks are processes (cargo test --release --features mpi --test mpi)",
    );
}

/// A rank's final history and weights.
type End = (History, Tensors);

fn network(dropout: f64) -> Sequential {
    let builder = Sequential::new([8, 8]).add(Flatten).add(Dropout::new(dropout));
    let builder =
        builder.add(Dense::new(48).activation(Activation::Silu)).add(Dropout::new(dropout));
    builder.add(Dense::new(10)).build(Device::Cpu, 5).unwrap()
}

fn samples() -> Dataset {
    data::load("digits").unwrap().0.take(1003)
}

/// Runs `work` on each of `size` ranks and returns the results in rank order.
pub fn on_each<T: Send>(size: usize, work: impl Fn(Threads) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let ranks = group::threads(size, Duration::from_secs(120)).into_iter();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || work(rank))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn train_alone(config: &FitConfig, dropout: f64, callbacks: &mut [&mut dyn Callback]) -> End {
    let mut model = network(dropout);
    let history = model.fit(&samples(), config, callbacks).unwrap();
    (history, model.weights().unwrap())
}

/// Trains on `size` ranks and returns every rank's history and weights.
fn train_on_ranks(
    size: usize,
    config: &FitConfig,
    dropout: f64,
    callbacks: impl Fn(&mut dyn FnMut(&mut [&mut dyn Callback])) + Sync,
) -> Vec<End> {
    on_each(size, |group| {
        let mut model = network(dropout);
        let mut history = None;
        callbacks(&mut |callbacks| {
            history = Some(model.fit_distributed(&group, &samples(), config, callbacks));
        });
        (history.unwrap().unwrap(), model.weights().unwrap())
    })
}

fn no_callbacks(train: &mut dyn FnMut(&mut [&mut dyn Callback])) {
    train(&mut []);
}

/// Returns the largest relative difference between the losses of two histories with the same number of epochs.
fn difference(a: &History, b: &History) -> f64 {
    assert_eq!(a.epochs.len(), b.epochs.len());
    let losses = |record: &EpochRecord| [Some(record.loss), record.val_loss];
    let pairs = a.epochs.iter().flat_map(losses).zip(b.epochs.iter().flat_map(losses));
    pairs.fold(0.0, |most, pair| match pair {
        (Some(a), Some(b)) => most.max((a - b).abs() / a.abs()),
        (a, b) => {
            assert_eq!(a, b);
            most
        }
    })
}

/// Checks that all ranks have the same history and weights, and returns rank 0's.
fn same_on_all(ends: Vec<End>) -> End {
    let (history, weights) = &ends[0];
    for (other, others) in &ends[1..] {
        assert!(weights == others, "ranks have different weights");
        assert_eq!(difference(history, other), 0.0);
        let rates = |history: &History| -> Vec<f64> {
            history.epochs.iter().map(|record| record.learning_rate).collect()
        };
        assert_eq!(rates(history), rates(other));
    }
    ends.into_iter().next().unwrap()
}

fn recipes() -> Vec<(&'static str, FitConfig, f64)> {
    let base = FitConfig { epochs: 3, batch_size: 100, seed: 3, ..FitConfig::default() };
    let augment = Augment {
        rotation: 9.0,
        scale: 0.1,
        elastic: 0.2,
        randaugment: 9.0,
        mixup: 0.4,
        cutmix: 1.0,
        ..Augment::default()
    };
    vec![
        ("the tutorial", base.clone(), 0.0),
        (
            "momentum and dropout",
            FitConfig {
                optimizer: Optimizer::Sgd(Sgd { momentum: 0.9, nesterov: true, ..Sgd::default() }),
                ..base.clone()
            },
            0.2,
        ),
        (
            "everything",
            FitConfig {
                optimizer: Optimizer::AdamW(AdamW { learning_rate: 3e-3, ..AdamW::default() }),
                schedule: Schedule::OneCycle { warm_up: 0.3, start: 0.04, end: 1e-3 },
                label_smoothing: 0.1,
                clip_norm: Some(0.5),
                ema: Some(0.9),
                augment,
                validation_split: 0.2,
                ..base.clone()
            },
            0.1,
        ),
        (
            "rmsprop in small batches",
            FitConfig {
                optimizer: Optimizer::RmsProp(RmsProp::default()),
                batch_size: 3,
                epochs: 1,
                ..base
            },
            0.0,
        ),
    ]
}

fn convolutional_network() -> Sequential {
    let builder = Sequential::new([8, 8]).add(Reshape::new([1, 8, 8])).add(Conv2D::new(7, 3));
    let builder = builder.add(BatchNormalization::default()).add(Activation::Relu);
    let builder =
        builder.add(Dropout::new(0.2)).add(Conv2D::new(5, 3).activation(Activation::Silu));
    let builder = builder.add(MaxPooling2D::new(2)).add(Flatten).add(Dense::new(10));
    builder.build(Device::Cpu, 5).unwrap()
}

#[test]
fn ranks_reach_the_same_bits_with_convolutions() {
    let train = |size, engine, threads| {
        let config = FitConfig {
            engine,
            epochs: 2,
            batch_size: 100,
            clip_norm: Some(1.0),
            ema: Some(0.8),
            threads: Some(threads),
            ..FitConfig::default()
        };
        same_on_all(on_each(size, |group| {
            let mut model = convolutional_network();
            let history = model.fit_distributed(&group, &samples(), &config, &mut []).unwrap();
            (history, model.weights().unwrap())
        }))
    };
    let (history, weights) = train(1, Engine::Fused, 1);
    for (size, threads) in [(1, 3), (2, 1), (4, 2)] {
        assert!(train(size, Engine::Fused, threads).1 == weights, "{size} ranks");
    }
    let difference = difference(&history, &train(2, Engine::Autograd, 1).0);
    assert!(difference < 1e-3, "{difference}");
}

#[test]
fn ranks_reach_the_weights_of_one_process() {
    for engine in [Engine::Fused, Engine::Autograd] {
        for (name, config, dropout) in recipes() {
            let config = FitConfig { engine, threads: Some(1), ..config };
            let (expected, _) = train_alone(&config, dropout, &mut []);
            let mut of_one = None;
            for size in [1, 2, 4, 3, 5] {
                let (history, own) =
                    same_on_all(train_on_ranks(size, &config, dropout, no_callbacks));
                let difference = difference(&expected, &history);
                eprintln!("{name}, {engine:?}, {size} ranks: {difference:.1e}");
                assert!(difference < 1e-4, "{name}, {engine:?}, {size} ranks: {difference}");
                if [1, 2, 4].contains(&size) {
                    // Equal to the last bit, so that no difference can grow in longer training runs.
                    let of_one = of_one.get_or_insert_with(|| own.clone());
                    assert!(
                        *of_one == own,
                        "{name}, {engine:?}, {size} ranks: other weights than 1"
                    );
                }
            }
        }
    }
}

/// Ranks that reduce tensors directly on their device, like CUDA-aware MPI.
struct DeviceAware(Threads, AtomicUsize);

impl Group for DeviceAware {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn all_reduce(&self, values: &mut [f32]) -> Result<(), GroupError> {
        self.0.all_reduce(values)
    }

    fn is_device_aware(&self, device: Device) -> bool {
        device == Device::Cpu
    }

    fn all_reduce_tensor(&self, tensor: &tch::Tensor) -> Result<(), GroupError> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.all_reduce_tensor(tensor)
    }

    fn all_gather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, GroupError> {
        self.0.all_gather(own)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), GroupError> {
        self.0.broadcast(bytes)
    }
}

#[test]
fn gradients_can_be_reduced_on_their_device() {
    let (_, config, dropout) = recipes().swap_remove(2);
    for engine in [Engine::Fused, Engine::Autograd] {
        let config = FitConfig { engine, ..config.clone() };
        let (expected, _) = train_alone(&config, dropout, &mut []);
        let ends = on_each(3, |group| {
            let group = DeviceAware(group, AtomicUsize::new(0));
            let mut model = network(dropout);
            let history = model.fit_distributed(&group, &samples(), &config, &mut []).unwrap();
            // The fused engine keeps its gradients in its own vectors, not in tensors.
            let steps = 3 * samples().split(0.2, 3).unwrap().0.len().div_ceil(100);
            let expected = if engine == Engine::Autograd { steps } else { 0 };
            assert_eq!(group.1.into_inner(), expected);
            (history, model.weights().unwrap())
        });
        let difference = difference(&expected, &same_on_all(ends).0);
        assert!(difference < 1e-4, "{engine:?}: {difference}");
    }
}

#[test]
fn batch_may_have_fewer_samples_than_ranks() {
    for engine in [Engine::Fused, Engine::Autograd] {
        let config = FitConfig { engine, batch_size: 2, epochs: 1, ..FitConfig::default() };
        let (expected, _) = train_alone(&config, 0.3, &mut []);
        let (history, _) = same_on_all(train_on_ranks(5, &config, 0.3, no_callbacks));
        assert!(difference(&expected, &history) < 1e-4);
    }
}

#[test]
fn ranks_shard_streamed_data_like_data_in_memory() {
    // More data than the memory holds, so that blocks are opened one after the other.
    let repeated: Vec<u32> = (0..40_000).map(|i| i % 1003).collect();
    let (train, test) = (samples().select(&repeated).unwrap(), samples().take(10));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shards");
    data::save_shards(&train, &test, 3, &path, &mut |_, _| {}).unwrap();
    let memory = StreamMemory::mib(1).unwrap();
    let (_, config, dropout) = recipes().swap_remove(2);
    for engine in [Engine::Fused, Engine::Autograd] {
        // Streamed samples are not mixed with others.
        let augment = Augment { mixup: 0.0, cutmix: 0.0, ..config.augment };
        let config = FitConfig { engine, epochs: 2, batch_size: 1000, augment, ..config.clone() };
        let train = || data::stream_dir(&path, memory).unwrap().0;
        let expected = network(dropout).fit(&train(), &config, &mut []).unwrap();
        for size in [2, 3] {
            let ends = on_each(size, |group| {
                let mut model = network(dropout);
                let history = model.fit_distributed(&group, &train(), &config, &mut []);
                (history.unwrap(), model.weights().unwrap())
            });
            let difference = difference(&expected, &same_on_all(ends).0);
            assert!(difference < 1e-4, "{engine:?}, {size} ranks: {difference}");
        }
    }
}

/// Stops or interrupts training at a batch, and keeps the snapshot.
struct EndAt(usize, Flow, Option<Arc<Snapshot>>);

impl Callback for EndAt {
    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        Ok(if (batch.epoch, batch.batch) == (2, self.0) { self.1 } else { Flow::Continue })
    }

    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.2 = Some(Arc::clone(snapshot));
        Ok(())
    }
}

#[test]
fn resume_with_another_number_of_ranks_matches_one_process() {
    let (_, config, dropout) = recipes().swap_remove(2);
    let (expected, _) = train_alone(&config, dropout, &mut []);
    // In the middle of an epoch, and after its last batch.
    for batch in [4, 9] {
        let snapshot = Mutex::new(None);
        let ends = train_on_ranks(3, &config, dropout, |train| {
            let mut end = EndAt(batch, Flow::Interrupt, None);
            train(&mut [&mut end]);
            if end.2.is_some() {
                *snapshot.lock().unwrap() = end.2;
            }
        });
        assert_eq!(same_on_all(ends).0.epochs.len(), 1);
        let snapshot = snapshot.into_inner().unwrap().expect("rank 0 has one");
        assert_eq!((snapshot.state.epoch, snapshot.state.batch), (1, batch));
        for size in [1, 2, 4] {
            let ends = on_each(size, |group| {
                let mut model = network(dropout);
                // Only rank 0's snapshot is used.
                let own = (group.rank() == 0).then_some(&*snapshot);
                let history =
                    model.resume_distributed(&group, own, &samples(), &config, &mut []).unwrap();
                (history, model.weights().unwrap())
            });
            let (history, _) = same_on_all(ends);
            let difference = difference(&expected, &history);
            assert!(difference < 1e-4, "batch {batch}, {size} ranks: {difference}");
        }
    }
}

#[test]
fn all_ranks_stop_at_the_batch_of_rank_0() {
    let (_, config, dropout) = recipes().swap_remove(1);
    for batch in [4, 11] {
        let (expected, _) =
            train_alone(&config, dropout, &mut [&mut EndAt(batch, Flow::Stop, None)]);
        assert_eq!(expected.epochs.len(), 2);
        let ends = train_on_ranks(3, &config, dropout, |train| {
            train(&mut [&mut EndAt(batch, Flow::Stop, None)]);
        });
        assert!(difference(&expected, &same_on_all(ends).0) < 1e-4);
    }
}

#[test]
fn callback_changes_apply_to_all_ranks() {
    let config =
        FitConfig { epochs: 8, batch_size: 100, validation_split: 0.3, ..FitConfig::default() };
    // Low patience, so that both callbacks act.
    let early = || {
        EarlyStopping::new(EarlyStoppingConfig {
            monitor: Monitor::Accuracy,
            patience: 1,
            min_delta: 0.02,
            restore_best: true,
        })
    };
    let reduce = || {
        ReduceLrOnPlateau::new(ReduceLrConfig {
            monitor: Monitor::ValLoss,
            patience: 0,
            factor: 0.5,
            min_delta: 0.3,
            ..ReduceLrConfig::new(Monitor::ValLoss)
        })
    };
    let (mut a, mut b) = (early().unwrap(), reduce().unwrap());
    let (expected, _) = train_alone(&config, 0.0, &mut [&mut a, &mut b]);
    assert!(a.stopped_epoch().is_some() && expected.epochs.len() < 8, "{:?}", expected.epochs);
    assert!(expected.epochs.last().unwrap().learning_rate < 1e-3);
    let ends = train_on_ranks(3, &config, 0.0, |train| {
        let (mut a, mut b) = (early().unwrap(), reduce().unwrap());
        train(&mut [&mut a, &mut b]);
    });
    assert!(difference(&expected, &same_on_all(ends).0) < 1e-4);
}

/// Replaces the weights and halves the learning rate after a batch.
struct ReplaceWeights(usize);

impl Callback for ReplaceWeights {
    fn on_batch_end(
        &mut self,
        training: &mut Training,
        batch: &BatchInfo,
    ) -> Result<Flow, CallbackError> {
        if batch.batch == self.0 {
            training.set_weights(&network(0.0).weights()?)?;
            training.set_learning_rate(training.learning_rate() / 2.0)?;
        }
        Ok(Flow::Continue)
    }
}

#[test]
fn weights_that_a_callback_replaces_reach_all_ranks() {
    let config = FitConfig {
        epochs: 2,
        batch_size: 100,
        ema: Some(0.5),
        validation_split: 0.2,
        ..FitConfig::default()
    };
    // In the middle of an epoch, and after the last batch, before validation.
    for batch in [3, 9] {
        let (expected, _) = train_alone(&config, 0.0, &mut [&mut ReplaceWeights(batch)]);
        let ends =
            train_on_ranks(3, &config, 0.0, |train| train(&mut [&mut ReplaceWeights(batch)]));
        assert!(difference(&expected, &same_on_all(ends).0) < 1e-4, "batch {batch}");
    }
}

#[test]
fn rollback_applies_to_all_ranks() {
    let optimizer = Optimizer::Sgd(Sgd { learning_rate: 1e30, ..Sgd::default() });
    let config =
        FitConfig { epochs: 1, optimizer, on_nan: OnNan::Rollback, ..FitConfig::default() };
    let errors = on_each(3, |group| {
        let trained = network(0.0).fit_distributed(&group, &samples(), &config, &mut []);
        trained.unwrap_err().to_string()
    });
    assert!(errors[0].contains("after 3 rollbacks"), "{}", errors[0]);
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
}

#[test]
fn ranks_with_different_settings_or_data_are_refused() {
    let refused = |change: &(dyn Fn(&mut FitConfig, &mut Dataset) + Sync)| {
        let errors = on_each(3, |group| {
            let (mut config, mut data) =
                (FitConfig { epochs: 1, ..FitConfig::default() }, samples());
            if group.rank() == 2 {
                change(&mut config, &mut data);
            }
            let trained = network(0.0).fit_distributed(&group, &data, &config, &mut []);
            trained.unwrap_err().to_string()
        });
        assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
        errors[0].clone()
    };
    let error = refused(&|config, _| config.seed = 7);
    assert!(error.contains("same setting seed, found 0 on rank 0 and 7 on rank 2"), "{error}");
    let error = refused(&|config, _| config.batch_size = 64);
    assert!(error.contains("setting batch_size, found 32 on rank 0 and 64 on rank 2"), "{error}");
    let error = refused(&|config, _| {
        config.optimizer = Optimizer::Adam(Adam { learning_rate: 0.5, ..Adam::default() });
    });
    assert!(error.contains("setting optimizer learning_rate, found 0.001 on rank 0"), "{error}");
    let error = refused(&|_, data| *data = data.take(1000));
    assert!(error.contains("1003 images of 8x8 on rank 0 and 1000 images of 8x8"), "{error}");
    let error = refused(&|_, data| {
        let order: Vec<u32> = (0..1003).rev().collect();
        *data = data.select(&order).unwrap();
    });
    assert!(error.contains("training data (SHA-256)") && error.contains("on rank 2"), "{error}");
}

/// A callback that fails in the middle of an epoch.
struct Fails;

impl Callback for Fails {
    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        if batch.batch == 3 { Err("the disk is gone".into()) } else { Ok(Flow::Continue) }
    }
}

#[test]
fn error_of_one_rank_ends_the_others() {
    let config = FitConfig { epochs: 1, ..FitConfig::default() };
    let errors = on_each(3, |group| {
        network(0.0).fit_distributed(&group, &samples(), &config, &mut [&mut Fails]).unwrap_err()
    });
    assert!(errors[0].to_string().contains("the disk is gone"));
    for error in &errors[1..] {
        // One of the two may learn of it from the other.
        assert!(matches!(error, TrainError::Group(GroupError::Ended(_))), "{error}");
    }
}

#[test]
fn distributed_metrics_cover_the_whole_data_set() {
    let (_, test) = data::load("digits").unwrap();
    let expected = network(0.0).evaluate(&test).unwrap();
    for size in [1, 2, 7] {
        let all = on_each(size, |group| {
            network(0.0).evaluate_distributed(&group, &test, Measures::default()).unwrap()
        });
        for found in all {
            assert_eq!(found.confusion, expected.confusion);
            assert_eq!((found.samples, found.accuracy), (expected.samples, expected.accuracy));
            assert!((found.loss - expected.loss).abs() < 1e-6 * expected.loss);
        }
    }
    let other = test.take(100);
    let errors = on_each(2, |group| {
        let data = if group.rank() == 0 { &test } else { &other };
        network(0.0)
            .evaluate_distributed(&group, data, Measures::default())
            .unwrap_err()
            .to_string()
    });
    assert!(errors[1].contains("data to evaluate on"), "{errors:?}");
    assert_eq!(errors[0], errors[1]);
}

#[cfg(not(feature = "mpi"))]
#[test]
fn distributed_without_mpi_explains_how_to_build_with_it() {
    let home = tempfile::tempdir().unwrap();
    for command in [&["train", "--distributed"][..], &["evaluate", "runs/x", "--distributed"]] {
        let output = common::run(common::seqfit(home.path()).args(command));
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains("cargo build --release --features mpi"), "{output:?}");
    }
}
