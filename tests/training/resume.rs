//! Tests that an interrupted and resumed training run ends with the weights of an uninterrupted one, bit
//! for bit, wherever it was interrupted and with any stateful option.

use std::sync::Arc;

use crate::common;
use seqfit::callback::{
    BatchInfo, Callback, CallbackError, EarlyStopping, EarlyStoppingConfig, Flow, ReduceLrConfig,
    ReduceLrOnPlateau, Rollback, SnapshotTrigger, TerminateOnNan, Training,
};
use seqfit::data::{self, Augment, Dataset};
use seqfit::layers::{BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D, Reshape};
use seqfit::run::{Checkpoint, Identity, RunConfig};
use seqfit::{
    Activation, Adam, AdamW, Device, Engine, EpochRecord, FitConfig, History, Monitor, OnNan,
    Optimizer, RmsProp, Schedule, Sequential, Sgd, Snapshot,
};

/// Returns data with 3 batches per epoch, the last of them with 5 samples.
const BATCHES: usize = 3;

fn samples() -> Dataset {
    data::load("digits").unwrap().0.take(165)
}

fn network(seed: u64) -> Sequential {
    let builder = Sequential::new([8, 8]).add(Flatten);
    let builder = builder.add(Dense::new(16).activation(Activation::Relu)).add(Dropout::new(0.3));
    builder.add(Dense::new(10)).build(Device::Cpu, seed).unwrap()
}

fn config(optimizer: Optimizer) -> FitConfig {
    FitConfig {
        epochs: 4,
        batch_size: 50,
        validation_split: 0.35,
        optimizer,
        seed: 3,
        schedule: Schedule::Step { every: 1, factor: 0.9 },
        label_smoothing: 0.1,
        clip_norm: Some(1.0),
        ema: Some(0.8),
        augment: Augment {
            rotation: 10.0,
            scale: 0.1,
            shift: 0.5,
            shear: 0.1,
            elastic: 0.2,
            fade: 0.0,
            ..Augment::OFF
        },
        threads: Some(1),
        ..FitConfig::default()
    }
}

fn callbacks() -> (EarlyStopping, ReduceLrOnPlateau) {
    // Low patience, so that they have state to save.
    let early = EarlyStoppingConfig {
        monitor: Monitor::ValLoss,
        patience: 3,
        min_delta: 0.3,
        restore_best: true,
    };
    let reduce = ReduceLrConfig {
        patience: 1,
        min_delta: 0.2,
        factor: 0.5,
        ..ReduceLrConfig::new(Monitor::ValLoss)
    };
    (EarlyStopping::new(early).unwrap(), ReduceLrOnPlateau::new(reduce).unwrap())
}

/// Interrupts after a batch, or only takes a snapshot after an epoch.
struct Cut {
    after: (usize, usize),
    snapshot: Option<Arc<Snapshot>>,
}

impl Callback for Cut {
    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        let here = self.after == (batch.epoch, batch.batch);
        Ok(if here { Flow::Interrupt } else { Flow::Continue })
    }
    fn wants_snapshot(&mut self, moment: SnapshotTrigger) -> bool {
        moment == SnapshotTrigger::Epoch && self.snapshot.is_none()
    }
    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        let state = &snapshot.state;
        if (state.epoch + usize::from(state.batch > 0), state.batch) == self.after {
            self.snapshot = Some(Arc::clone(snapshot));
        }
        Ok(())
    }
}

/// The weights, and the history without its times.
type End = (Vec<u8>, Vec<EpochRecord>);

fn end(model: &Sequential, history: History) -> End {
    let timeless = |e: EpochRecord| EpochRecord { seconds: 0.0, samples_per_second: 0.0, ..e };
    let bytes = model.to_safetensors(Default::default()).unwrap();
    (bytes, history.epochs.into_iter().map(timeless).collect())
}

fn whole(config: &FitConfig) -> End {
    let (mut early, mut reduce) = callbacks();
    let mut model = network(3);
    let history = model.fit(&samples(), config, &mut [&mut early, &mut reduce]).unwrap();
    end(&model, history)
}

/// Saves and loads a checkpoint.
fn through_a_file(snapshot: &Arc<Snapshot>) -> Snapshot {
    let identity: Identity = serde_json::from_str("{}").unwrap();
    let bytes = Checkpoint { identity, snapshot: Arc::clone(snapshot) }.to_bytes().unwrap();
    Snapshot::clone(&Checkpoint::from_bytes(&bytes).unwrap().snapshot)
}

fn optimizers() -> [Optimizer; 6] {
    let (momentum, nesterov) = (0.9, true);
    [
        Optimizer::Adam(Adam { learning_rate: 0.01, ..Adam::default() }),
        Optimizer::AdamW(AdamW { learning_rate: 0.01, weight_decay: 0.1, ..AdamW::default() }),
        Optimizer::Sgd(Sgd { learning_rate: 0.1, ..Sgd::default() }),
        Optimizer::Sgd(Sgd { learning_rate: 0.1, momentum, nesterov, ..Sgd::default() }),
        Optimizer::RmsProp(RmsProp::default()),
        Optimizer::RmsProp(RmsProp { momentum, ..RmsProp::default() }),
    ]
}

#[test]
fn resume_reproduces_the_uninterrupted_weights() {
    let engines = [Engine::Autograd, Engine::Fused];
    for (optimizer, engine) in optimizers().map(|o| engines.map(|e| (o, e))).concat() {
        let config = FitConfig { engine, ..config(optimizer) };
        let expected = whole(&config);
        assert!(expected.1.windows(2).any(|e| e[0].learning_rate != e[1].learning_rate));
        let cuts = (1..=config.epochs).flat_map(|epoch| (0..=BATCHES).map(move |b| (epoch, b)));
        for after in cuts {
            let (mut early, mut reduce) = callbacks();
            let mut cut = Cut { after, snapshot: None };
            let mut model = network(3);
            model.fit(&samples(), &config, &mut [&mut cut, &mut early, &mut reduce]).unwrap();
            let Some(snapshot) = cut.snapshot else {
                // Early stopping came first.
                assert!(after.0 > expected.1.len(), "{after:?}");
                continue;
            };
            let snapshot = through_a_file(&snapshot);
            let (mut early, mut reduce) = callbacks();
            // Different weights: all of them must come from the snapshot.
            let mut model = network(4);
            let history = model
                .resume(&snapshot, &samples(), &config, &mut [&mut early, &mut reduce])
                .unwrap();
            assert!(end(&model, history) == expected, "{optimizer:?} {engine:?}, cut {after:?}");
        }
    }
}

#[test]
fn resume_reproduces_the_weights_of_a_convolutional_network() {
    let network = |seed| {
        let builder = Sequential::new([8, 8]).add(Reshape::new([1, 8, 8])).add(Conv2D::new(6, 3));
        let builder = builder.add(BatchNormalization::default()).add(Activation::Relu);
        let builder = builder.add(MaxPooling2D::new(2)).add(Dropout::new(0.3)).add(Flatten);
        builder.add(Dense::new(10)).build(Device::Cpu, seed).unwrap()
    };
    let config = FitConfig { engine: Engine::Fused, epochs: 2, ..config(Optimizer::default()) };
    let mut model = network(3);
    let history = model.fit(&samples(), &config, &mut []).unwrap();
    let expected = end(&model, history);
    let cuts = (1..=config.epochs).flat_map(|epoch| (0..=BATCHES).map(move |b| (epoch, b)));
    for after in cuts {
        let mut cut = Cut { after, snapshot: None };
        network(3).fit(&samples(), &config, &mut [&mut cut]).unwrap();
        let snapshot = through_a_file(&cut.snapshot.unwrap());
        let mut model = network(4);
        // Another number of threads, too.
        let config = FitConfig { threads: Some(2), ..config.clone() };
        let history = model.resume(&snapshot, &samples(), &config, &mut []).unwrap();
        assert!(end(&model, history) == expected, "cut {after:?}");
    }
}

#[test]
fn resume_twice_with_more_epochs_reproduces_the_uninterrupted_weights() {
    let long = FitConfig { validation_split: 0.0, ..config(Optimizer::default()) };
    let short = FitConfig { epochs: 2, ..long.clone() };
    let mut model = network(3);
    let history = model.fit(&samples(), &long, &mut []).unwrap();
    let expected = end(&model, history);

    let cut = |after| Cut { after, snapshot: None };
    let (mut first, mut second, mut third) = (cut((1, 2)), cut((2, 1)), cut((2, 0)));
    network(3).fit(&samples(), &short, &mut [&mut first]).unwrap();
    let snapshot = first.snapshot.unwrap();
    network(9).resume(&snapshot, &samples(), &short, &mut [&mut second]).unwrap();
    let snapshot = second.snapshot.unwrap();
    let history = network(9).resume(&snapshot, &samples(), &short, &mut [&mut third]).unwrap();
    assert_eq!(history.epochs.len(), 2);
    let mut model = network(9);
    let history = model.resume(&third.snapshot.unwrap(), &samples(), &long, &mut []).unwrap();
    assert!(end(&model, history) == expected);
}

/// Counts rollbacks, and interrupts like [`Cut`].
struct Back {
    rollbacks: Vec<Rollback>,
    cut: Cut,
}

impl Callback for Back {
    fn on_batch_end(
        &mut self,
        training: &mut Training,
        batch: &BatchInfo,
    ) -> Result<Flow, CallbackError> {
        self.cut.on_batch_end(training, batch)
    }
    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.cut.on_snapshot(snapshot)
    }
    fn on_rollback(&mut self, rollback: &Rollback) -> Result<(), CallbackError> {
        self.rollbacks.push(*rollback);
        Ok(())
    }
}

/// One layer and one epoch, with a learning rate at which logits overflow f32; after a few halvings they do
/// not.
fn at_the_edge(learning_rate: f64, on_nan: OnNan) -> (Sequential, FitConfig) {
    let model =
        Sequential::new([8, 8]).add(Flatten).add(Dense::new(10)).build(Device::Cpu, 0).unwrap();
    let optimizer = Optimizer::Sgd(Sgd { learning_rate, ..Sgd::default() });
    let config = FitConfig {
        optimizer,
        on_nan,
        epochs: 1,
        batch_size: 50,
        seed: 3,
        threads: Some(1),
        ..FitConfig::default()
    };
    (model, config)
}

#[test]
fn rollback_halves_the_learning_rate_and_survives_resume() {
    let run = |after, from: Option<&Snapshot>| {
        let (mut model, config) = at_the_edge(4e37, OnNan::Rollback);
        let mut back = Back { rollbacks: Vec::new(), cut: Cut { after, snapshot: None } };
        let history = match from {
            None => model.fit(&samples(), &config, &mut [&mut back]),
            Some(snapshot) => model.resume(snapshot, &samples(), &config, &mut [&mut back]),
        };
        (history.map(|history| end(&model, history)), back)
    };
    let (expected, back) = run((0, 0), None);
    let expected = expected.unwrap();
    let n = back.rollbacks.len();
    assert!((1..=3).contains(&n), "{:?}", back.rollbacks);
    let last = back.rollbacks[n - 1];
    assert_eq!((last.rollbacks as usize, last.learning_rate), (n, 4e37 / f64::from(1 << n)));
    assert_eq!(expected.1.last().map(|e| e.learning_rate), Some(last.learning_rate));
    for after in [(1, 1), (1, 2), (1, 3), (1, 4)] {
        let (_, back) = run(after, None);
        let snapshot = through_a_file(&back.cut.snapshot.unwrap());
        assert!(snapshot.rollback_point.is_some());
        let (got, _) = run((0, 0), Some(&snapshot));
        assert!(got.unwrap() == expected, "cut after {after:?}");
    }
}

#[test]
fn divergence_after_three_rollbacks_is_an_error() {
    let (mut model, config) = at_the_edge(3.4e38, OnNan::Rollback);
    let error = model.fit(&samples(), &config, &mut []).unwrap_err().to_string();
    assert!(error.starts_with("training diverged in epoch 1, batch "), "{error}");
    assert!(
        error.contains(" after 3 rollbacks: use a lower learning rate than 4.25e37"),
        "{error}"
    );
}

#[test]
fn training_that_ignores_nan_ends_without_an_error() {
    let (mut model, config) = at_the_edge(3.4e38, OnNan::Ignore);
    let mut terminate = TerminateOnNan::default();
    let mut cut = Cut { after: (1, 0), snapshot: None };
    let history = model.fit(&samples(), &config, &mut [&mut terminate, &mut cut]).unwrap();
    assert_eq!(terminate.at(), Some((1, Some(2))));
    assert_eq!(history.epochs.len(), 1);
    assert!(cut.snapshot.is_none(), "there is no snapshot of non-finite weights");
}

#[test]
fn resume_refuses_a_mismatched_snapshot() {
    let base = config(Optimizer::default());
    let mut cut = Cut { after: (2, 1), snapshot: None };
    network(3).fit(&samples(), &base, &mut [&mut cut]).unwrap();
    let snapshot = cut.snapshot.unwrap();
    let resume = |snapshot: &Snapshot, model: &mut Sequential, config: &FitConfig| {
        let result = model.resume(snapshot, &samples(), config, &mut []);
        result.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(resume(&snapshot, &mut network(3), &base), Ok(()));

    let mut other =
        Sequential::new([8, 8]).add(Flatten).add(Dense::new(10)).build(Device::Cpu, 0).unwrap();
    let error = resume(&snapshot, &mut other, &base).unwrap_err();
    assert!(
        error.contains("another network or optimizer: the network needs the tensors"),
        "{error}"
    );
    let sgd = config(Optimizer::Sgd(Sgd::default()));
    let error = resume(&snapshot, &mut network(3), &sgd).unwrap_err();
    assert!(error.contains("another network or optimizer"), "{error}");
    let batch = FitConfig { batch_size: 20, ..base.clone() };
    let error = resume(&snapshot, &mut network(3), &batch).unwrap_err();
    assert!(
        error.contains("of another training: the samples must be those of the batches"),
        "{error}"
    );

    type Change = fn(&mut Snapshot);
    let changes: [(Change, &str); 6] = [
        (|s| s.state.batch = usize::MAX, "an epoch has fewer batches"),
        (|s| s.state.epoch = 7, "one line per epoch"),
        (|s| s.state.step += 1, "the steps must be"),
        (|s| s.state.learning_rate = -1.0, "learning rate"),
        (|s| s.state.sums.loss = f64::INFINITY, "the loss must be finite"),
        (|s| drop(s.callbacks.insert("early_stopping".into(), Default::default())), "callbacks []"),
    ];
    for (change, message) in changes {
        let mut snapshot = Snapshot::clone(&snapshot);
        change(&mut snapshot);
        let error = resume(&snapshot, &mut network(3), &base).unwrap_err();
        assert!(error.contains(message), "{error} for {message}");
    }
}

/// One callback stops training in an epoch, and another interrupts it at the end of the same epoch:
/// resuming from the snapshot must not continue training.
#[test]
fn resume_keeps_an_early_stop() {
    struct At(usize, Flow, Option<Arc<Snapshot>>);
    impl Callback for At {
        fn on_epoch_end(
            &mut self,
            _: &mut Training,
            record: &EpochRecord,
        ) -> Result<Flow, CallbackError> {
            Ok(if record.epoch == self.0 { self.1 } else { Flow::Continue })
        }

        fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
            self.2 = Some(Arc::clone(snapshot));
            Ok(())
        }
    }
    let config = config(Optimizer::default());
    let (mut stop, mut interrupt) = (At(2, Flow::Stop, None), At(2, Flow::Interrupt, None));
    let mut model = network(3);
    model.fit(&samples(), &config, &mut [&mut stop, &mut interrupt]).unwrap();
    let snapshot = interrupt.2.unwrap();
    assert!(snapshot.state.stopped);
    let mut later = network(4);
    let history = later.resume(&snapshot, &samples(), &config, &mut []).unwrap();
    assert_eq!(history.epochs.len(), 2);
    assert_eq!(later.weights().unwrap(), model.weights().unwrap());
}

#[test]
fn config_written_before_checkpoints_existed_is_still_read() {
    let home = tempfile::tempdir().unwrap();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "1", "--out", "r"];
    common::succeed(common::seqfit(home.path()).args(train));
    let text = std::fs::read_to_string(home.path().join("r/config.toml")).unwrap();
    let mut table: toml::Table = toml::from_str(&text).unwrap();
    table.remove("checkpoints");
    table.remove("callbacks");
    let fit = table["fit"].as_table_mut().unwrap();
    fit.remove("on_nan");
    let old = toml::to_string(&table).unwrap();
    assert_eq!(RunConfig::from_toml(old.as_bytes()), RunConfig::from_toml(text.as_bytes()));
}
