//! Tests of the metrics of a training: computed after every epoch, monitored, resumed, the same on all ranks, and
//! refused where they are not for the targets.

use std::sync::Arc;

use seqfit::callback::{
    BatchInfo, Callback, CallbackError, EarlyStopping, EarlyStoppingConfig, Flow, Training,
};
use seqfit::data::{self, Dataset, Features, TargetKind, Targets};
use seqfit::layers::{Dense, Flatten};
use seqfit::metrics::{Direction, MetricKind, Predictions, Undefined};
use seqfit::{
    Device, EvaluateError, FitConfig, History, Measures, Metric, Monitor, Sequential, Snapshot,
    TrainError,
};

fn network() -> Sequential {
    Sequential::new([8, 8]).add(Flatten).add(Dense::new(10)).build(Device::Cpu, 3).unwrap()
}

fn samples() -> (Dataset, Dataset) {
    data::load("digits").unwrap().0.take(600).split(0.3, 1).unwrap()
}

fn config(metrics: &[Metric]) -> FitConfig {
    FitConfig { epochs: 3, metrics: metrics.to_vec(), ..FitConfig::default() }
}

/// The fraction of samples of class 7 that are found.
#[derive(Debug)]
struct RecallOfSeven;

impl MetricKind for RecallOfSeven {
    fn name(&self) -> String {
        "recall_of_7".to_owned()
    }
    fn direction(&self) -> Direction {
        Direction::Higher
    }
    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class]
    }
    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let sevens = predictions.classes().zip(predictions.predicted_classes());
        let found: Vec<bool> = sevens.filter(|(is, _)| *is == 7).map(|(_, p)| p == 7).collect();
        match found.len() {
            0 => Err(Undefined("there is no 7".to_owned())),
            all => Ok(found.iter().filter(|&&found| found).count() as f64 / all as f64),
        }
    }
}

#[test]
fn records_have_the_metrics_of_the_validation_set() {
    let (train, validation) = samples();
    let metrics = [Metric::F1Macro, Metric::RocAuc, Metric::custom(RecallOfSeven)];
    let mut model = network();
    let history = model.fit((&train, &validation), &config(&metrics), &mut []).unwrap();
    let last = history.last().unwrap();
    let found = model.evaluate_with(&validation, &config(&metrics)).unwrap();
    assert_eq!(last.metrics.len(), 3);
    for (name, value) in &found.metrics {
        assert_eq!(last.metrics[&format!("val_{name}")], *value, "{name}");
    }
    // The metrics of the table by class.
    let per_class = found.per_class();
    let f1 = per_class.iter().map(|class| class.f1).sum::<f64>() / 10.0;
    assert!((found.metrics["f1_macro"] - f1).abs() < 1e-12);
    assert_eq!(found.metrics["recall_of_7"], per_class[7].recall);
    assert_eq!(History::from_csv(&history.to_csv()), Ok(history));
    // Nothing else changes.
    let mut plain = network();
    plain.fit((&train, &validation), &config(&[]), &mut []).unwrap();
    assert_eq!(plain.weights().unwrap(), model.weights().unwrap());
}

#[test]
fn a_monitored_metric_restores_its_best_epoch() {
    let (train, validation) = samples();
    let monitor = Monitor::Validation(Metric::LogLoss);
    let mut fit = config(&[Metric::LogLoss]);
    // So fast that it soon gets worse.
    fit.optimizer = fit.optimizer.with_learning_rate(0.3);
    fit.epochs = 12;
    let stop = EarlyStoppingConfig { monitor, patience: 3, min_delta: 0.0, restore_best: true };
    let mut stop = EarlyStopping::new(stop).unwrap();
    let mut model = network();
    let history = model.fit((&train, &validation), &fit, &mut [&mut stop]).unwrap();
    let losses = history.epochs.iter().map(|record| record.metrics["val_log_loss"]);
    let least = losses.fold(f64::INFINITY, f64::min);
    assert_eq!(stop.best().unwrap().0, least, "lower is better");
    assert_eq!(model.evaluate_with(&validation, &fit).unwrap().metrics["log_loss"], least);
}

/// Interrupts in the second epoch.
#[derive(Default)]
struct Interrupt(Option<Arc<Snapshot>>);

impl Callback for Interrupt {
    fn on_batch_end(&mut self, _: &mut Training, batch: &BatchInfo) -> Result<Flow, CallbackError> {
        let is_here = (batch.epoch, batch.batch) == (2, 2);
        Ok(if is_here { Flow::Interrupt } else { Flow::Continue })
    }
    fn on_snapshot(&mut self, snapshot: &Arc<Snapshot>) -> Result<(), CallbackError> {
        self.0 = Some(Arc::clone(snapshot));
        Ok(())
    }
}

#[test]
fn a_resumed_training_has_the_same_metrics() {
    let (train, validation) = samples();
    let fit = config(&[Metric::AveragePrecision]);
    let values = |history: History| -> Vec<f64> {
        history.epochs.iter().map(|record| record.metrics["val_average_precision"]).collect()
    };
    let whole = network().fit((&train, &validation), &fit, &mut []).unwrap();
    let mut interrupt = Interrupt::default();
    network().fit((&train, &validation), &fit, &mut [&mut interrupt]).unwrap();
    let snapshot = interrupt.0.unwrap();
    let rest = network().resume(&snapshot, (&train, &validation), &fit, &mut []).unwrap();
    assert_eq!(values(rest), values(whole));
}

#[test]
fn metrics_are_the_same_on_all_ranks() {
    let (_, test) = data::load("digits").unwrap();
    let metrics = [Metric::RocAuc, Metric::LogLoss];
    let measures = Measures { loss: None, metrics: &metrics };
    let expected = network().evaluate_with(&test, measures).unwrap().metrics;
    for size in [2, 7] {
        let all = super::distributed::on_each(size, |group| {
            let measures = Measures { loss: None, metrics: &metrics };
            network().evaluate_distributed(&group, &test, measures).unwrap().metrics
        });
        for found in &all {
            assert_eq!(found, &all[0]);
            for (name, value) in found {
                assert!((value - expected[name]).abs() < 1e-6, "{name}: {value}");
            }
        }
    }
}

#[test]
fn metrics_that_cannot_be_computed_are_refused_before_the_first_step() {
    let (train, validation) = samples();
    let error = |metrics: &[Metric]| {
        let fit = config(metrics);
        network().fit((&train, &validation), &fit, &mut []).unwrap_err().to_string()
    };
    let found = error(&[Metric::F1Macro, Metric::Rmse]);
    assert!(found.starts_with("rmse is for numbers, and the targets are classes: take one of acc"));
    assert!(error(&[Metric::F1Macro, Metric::F1Macro]).contains("found f1_macro twice"));
    let unvalidated = network().fit(&train, &config(&[Metric::F1Macro]), &mut []).unwrap_err();
    assert!(matches!(unvalidated, TrainError::Metric(_)));
    assert!(unvalidated.to_string().contains("there is none for f1_macro: set a validation split"));
    let measures = Measures { loss: None, metrics: &[Metric::R2] };
    let error = network().evaluate_with(&train, measures).unwrap_err();
    assert!(matches!(error, EvaluateError::Metric(_)), "{error}");
    let monitor = Monitor::Validation(Metric::F1Macro);
    let stop = EarlyStoppingConfig { monitor, patience: 1, min_delta: 0.0, restore_best: false };
    let mut stop = EarlyStopping::new(stop).unwrap();
    let error = network().fit((&train, &validation), &config(&[]), &mut [&mut stop]).unwrap_err();
    assert!(error.to_string().contains("val_f1_macro is not computed"), "{error}");
}

/// Hears what is said about metrics without a value.
#[derive(Default)]
struct Notices(Vec<String>);

impl Callback for Notices {
    fn on_notice(&mut self, notice: &str) -> Result<(), CallbackError> {
        self.0.push(notice.to_owned());
        Ok(())
    }
}

#[test]
fn a_metric_without_a_value_is_absent_and_the_reason_is_said_once() {
    let (train, _) = samples();
    let zeros: Vec<usize> = (0..train.len()).filter(|&i| train.label(i) == 0).collect();
    let pixels: Vec<u8> = zeros.iter().flat_map(|&i| train.image(i).to_vec()).collect();
    let targets = Targets::classes(vec![0; zeros.len()], train.classes());
    let only_zeros = Dataset::from_arrays(Features::pixels(pixels, [8, 8]), targets).unwrap();
    let mut notices = Notices::default();
    let fit = config(&[Metric::RocAuc, Metric::F1Macro]);
    let history = network().fit((&train, &only_zeros), &fit, &mut [&mut notices]).unwrap();
    for record in &history.epochs {
        assert_eq!(record.metrics.keys().collect::<Vec<_>>(), ["val_f1_macro"]);
    }
    let expected = "note: val_roc_auc has no value: every sample is of class \"0\" (epochs without one do not count for \
                    what monitors it)";
    assert_eq!(notices.0, [expected]);
}
