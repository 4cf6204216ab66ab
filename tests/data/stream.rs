//! Tests that streamed data is trained on like data in memory, within a memory limit, and that an interrupted
//! and resumed training run ends with the weights of an uninterrupted one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{run, seqfit, succeed};
use seqfit::callback::{BatchInfo, Callback, CallbackError, Flow, SnapshotTrigger, Training};
use seqfit::data::{self, Augment, Dataset, StreamMemory};
use seqfit::layers::{Dense, Flatten};
use seqfit::{Activation, Device, Engine, FitConfig, Sequential, Snapshot, TrainError};

/// Writes the digits into a folder of shards.
fn shards(folder: &Path, count: usize) -> PathBuf {
    let (train, test) = data::load("digits").unwrap();
    let path = folder.join("shards");
    data::save_shards(&train, &test, count, &path, &mut |_, _| {}).unwrap();
    path
}

fn streamed(path: &Path) -> Dataset {
    data::stream_dir(path, StreamMemory::default()).unwrap().0
}

fn network() -> Sequential {
    let builder = Sequential::new([8, 8]).add(Flatten);
    let builder = builder.add(Dense::new(16).activation(Activation::Relu));
    builder.add(Dense::new(10)).build(Device::Cpu, 3).unwrap()
}

fn weights(model: &Sequential) -> Vec<u8> {
    model.to_safetensors(Default::default()).unwrap()
}

fn config(engine: Engine) -> FitConfig {
    let augment = Augment { rotation: 10.0, shift: 0.5, ..Augment::default() };
    let (epochs, batch_size, validation_split) = (2, 50, 0.2);
    FitConfig {
        epochs,
        batch_size,
        validation_split,
        engine,
        augment,
        seed: 5,
        ..Default::default()
    }
}

/// Interrupts training in a batch of the second epoch.
#[derive(Default)]
struct Cut(Option<Arc<Snapshot>>);

impl Callback for Cut {
    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        Ok(if (batch.epoch, batch.batch) == (2, 7) { Flow::Interrupt } else { Flow::Continue })
    }
    fn wants_snapshot(&mut self, _: SnapshotTrigger) -> bool {
        true
    }
    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.0 = Some(Arc::clone(snapshot));
        Ok(())
    }
}

#[test]
fn resume_of_streamed_training_reproduces_the_uninterrupted_weights() {
    let folder = tempfile::tempdir().unwrap();
    let train = streamed(&shards(folder.path(), 4));
    for engine in [Engine::Autograd, Engine::Fused] {
        let config = config(engine);
        let mut whole = network();
        let history = whole.fit(&train, &config, &mut []).unwrap();
        assert!(history.epochs.iter().all(|epoch| epoch.val_loss.is_some()));

        let (mut cut, mut model) = (Cut::default(), network());
        model.fit(&train, &config, &mut [&mut cut]).unwrap();
        let snapshot = cut.0.take().unwrap();
        assert_eq!((snapshot.state.epoch, snapshot.state.batch), (1, 7));
        // The number of threads changes no bit either, for an engine that guarantees this.
        let config = FitConfig { threads: Some(1), ..config };
        if engine == Engine::Fused {
            let mut other = network();
            other.resume(&snapshot, &train, &config, &mut []).unwrap();
            assert!(weights(&other) == weights(&whole));
        }
        let config = FitConfig { threads: None, ..config };
        model.resume(&snapshot, &train, &config, &mut []).unwrap();
        assert!(weights(&model) == weights(&whole), "{engine:?}");
    }
}

#[test]
fn both_engines_stream_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let train = streamed(&shards(folder.path(), 3));
    let loss = |engine| {
        let history = network().fit(&train, &config(engine), &mut []).unwrap();
        history.epochs.iter().map(|epoch| epoch.loss).collect::<Vec<f64>>()
    };
    for (a, b) in loss(Engine::Autograd).into_iter().zip(loss(Engine::Fused)) {
        assert!((a - b).abs() < 1e-4 * a, "{a} {b}");
    }
}

#[test]
fn streamed_evaluation_matches_evaluation_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (train, _) = data::load("digits").unwrap();
    let files = streamed(&shards(folder.path(), 3));
    let model = network();
    assert_eq!(model.evaluate(&files).unwrap(), model.evaluate(&train).unwrap());
}

#[test]
fn file_truncated_during_training_is_an_error() {
    struct Cutting(PathBuf);
    impl Callback for Cutting {
        fn on_epoch_begin(&mut self, epoch: usize) -> Result<(), CallbackError> {
            if epoch == 2 {
                fs::OpenOptions::new().write(true).open(&self.0)?.set_len(100)?;
            }
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for engine in [Engine::Autograd, Engine::Fused] {
        let path = shards(folder.path(), 2);
        let file = path.join("train-00001-of-00002-images.idx");
        let train = streamed(&path);
        let mut cutting = Cutting(file.clone());
        let error = network().fit(&train, &config(engine), &mut [&mut cutting]).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, TrainError::Data(_)), "{text}");
        assert!(text.contains(&file.display().to_string()), "{text}");
        assert!(text.contains("has become shorter"), "{text}");
        fs::remove_dir_all(&path).unwrap();
    }
}

#[test]
fn train_evaluate_and_report_accept_streamed_data() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let done = |arguments: &[&str]| succeed(seqfit(home).args(arguments)).stdout;
    let refused = |arguments: &[&str]| {
        let output = run(seqfit(home).args(arguments));
        assert_ne!(output.code, 0, "{output:#?}");
        output.stderr
    };
    let shard = ["data", "shard", "--dataset", "digits", "--shards", "3", "--out", "data"];
    let out = done(&shard);
    assert!(out.contains("1437 training images in 3 shards, 360 test images"), "{out}");
    assert!(refused(&shard).contains("is not empty"));
    // Shards are refused without --stream.
    assert!(refused(&["train", "--data-dir", "data"]).contains("evaluate with --stream"));

    let stream = ["--stream=1", "--data-dir", "data"];
    let with = |arguments: &[&'static str]| [arguments, &stream].concat();
    let train = ["train", "--epochs", "2", "--validation-split", "0.1", "--out", "run", "--report"];
    done(&with(&train));
    let config = fs::read_to_string(home.join("run/config.toml")).unwrap();
    assert!(config.contains("stream = 1\n"), "{config}");
    // The run records that its data is streamed.
    assert_eq!(done(&["evaluate", "run"]), done(&with(&["evaluate", "run"])));
    done(&["report", "run"]);
    done(&["train", "--resume", "run", "--epochs", "3"]);
    let other = refused(&["train", "--resume", "run", "--epochs", "4", "--stream=2"]);
    assert!(other.contains("data.stream was 1, found 2"), "{other}");
    done(&with(&["lr-find", "--steps", "20"]));
    done(&with(&["train", "--fast-dev-run"]));
    done(&with(&["train", "--overfit", "10", "--learning-rate", "0.01"]));

    let built_in = refused(&["train", "--stream", "--dataset", "digits"]);
    assert!(built_in.contains("leave --stream out"), "{built_in}");
    let none = refused(&["train", "--stream=0", "--data-dir", "data"]);
    assert!(none.contains("at least 1"), "{none}");
}

#[test]
fn streamed_pictures_are_not_mixed_and_the_error_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = streamed(&shards(folder.path(), 2));
    for (setting, augment) in [
        ("mixup", Augment { mixup: 0.2, ..Augment::OFF }),
        ("cutmix", Augment { cutmix: 0.2, ..Augment::OFF }),
    ] {
        let config = FitConfig { augment, ..config(Engine::Auto) };
        let error = network().fit(&dataset, &config, &mut []).unwrap_err().to_string();
        let rule =
            format!("augment {setting} needs all training pictures in memory, found {setting} 0.2");
        assert!(error.contains(&rule), "{error}");
    }
}
