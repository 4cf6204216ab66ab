//! All metrics against scikit-learn's values: tests/fixtures/make_metrics.py.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::*;
use crate::data::Targets;

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: TargetKind,
    outputs: usize,
    predictions: Vec<f32>,
    targets: Vec<f32>,
    /// `None` where scikit-learn has no value.
    metrics: BTreeMap<String, Option<f64>>,
}

impl Case {
    fn targets(&self) -> Targets {
        let names = || (0..self.outputs).map(|output| format!("n{output}"));
        let small = || self.targets.iter().map(|&target| target as u8).collect::<Vec<_>>();
        match self.kind {
            TargetKind::Class => Targets::classes(small(), names()),
            TargetKind::Labels => Targets::labels(small(), names()),
            TargetKind::Numbers => Targets::numbers(self.targets.clone(), names()),
        }
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../tests/fixtures/metrics.json")).unwrap()
}

#[test]
fn values_are_those_of_scikit_learn() {
    for case in cases() {
        let targets = case.targets();
        let predictions = Predictions::new(&case.predictions, &targets).unwrap();
        let fits = |metric: &&Metric| metric.check_for(case.kind).is_ok();
        let expected: BTreeSet<String> = case.metrics.keys().cloned().collect();
        let found: BTreeSet<String> = Metric::ALL.iter().filter(fits).map(Metric::name).collect();
        assert_eq!(found, expected, "{}: each metric needs reference values", case.name);
        for (name, expected) in &case.metrics {
            let found = name.parse::<Metric>().unwrap().value(&predictions);
            match (expected, found) {
                // The order of the sums differs.
                (Some(expected), Ok(found))
                    if (found - expected).abs() <= 1e-9 * expected.abs().max(1.0) => {}
                (None, Err(_)) => {}
                (expected, found) => {
                    panic!("{}: {name} is {found:?}, expected {expected:?}", case.name)
                }
            }
        }
    }
}

#[test]
fn the_documentation_has_every_metric() {
    let page = include_str!("../../docs/metrics.md");
    for metric in Metric::ALL {
        let better = format!("{:?}", metric.direction()).to_lowercase();
        let start = format!("| `{metric}` | ");
        let row = page.lines().find(|line| line.starts_with(&start));
        assert!(
            row.is_some_and(|row| row.contains(&format!(" | {better} | "))),
            "{metric}: {row:?}"
        );
    }
}

#[test]
fn undefined_metrics_say_why() {
    let targets = Targets::classes([0, 0], ["cat", "dog"]);
    let predictions = Predictions::new(&[0.5, 0.5, 0.25, 0.75], &targets).unwrap();
    let why = |metric: Metric| metric.value(&predictions).unwrap_err().to_string();
    assert_eq!(why(Metric::RocAuc), "no sample is of class \"dog\"");
    assert_eq!(why(Metric::Top3Accuracy), "it is always 1 with 2 classes");
    assert!(why(Metric::Mae).starts_with("mae is for numbers, and the targets are classes"));
    let targets = Targets::labels([1, 1, 1, 0], ["comedy", "drama"]);
    let predictions = Predictions::new(&[0.5, 0.5, 0.25, 0.75], &targets).unwrap();
    let error = Metric::AveragePrecision.value(&predictions).unwrap_err().to_string();
    assert_eq!(error, "every sample is of label \"comedy\"");
    let targets = Targets::numbers([2.0, 2.0], ["price"]);
    let predictions = Predictions::new(&[1.0, 2.0], &targets).unwrap();
    let error = Metric::R2.value(&predictions).unwrap_err().to_string();
    assert_eq!(error, "\"price\" is the same in every sample");
}

#[test]
fn names_round_trip_and_unknown_ones_are_refused() {
    for metric in Metric::ALL {
        assert_eq!(metric.name().parse().as_ref(), Ok(metric));
        let json = serde_json::to_string(metric).unwrap();
        assert_eq!(json, format!("{:?}", metric.name()));
        assert_eq!(&serde_json::from_str::<Metric>(&json).unwrap(), metric);
    }
    assert_eq!(Metric::check_all(Metric::ALL), Ok(()));
    let error = "f1_marco".parse::<Metric>().unwrap_err().to_string();
    assert!(error.ends_with("found \"f1_marco\": did you mean f1_macro?"), "{error}");
    let error = Metric::check_all(&[Metric::Mae, Metric::R2, Metric::Mae]).unwrap_err().to_string();
    assert_eq!(error, "each metric is listed once, found mae twice: leave one out");
    let elsewhere: Metric = serde_json::from_str("\"max_error\"").unwrap();
    assert_eq!(elsewhere.name(), "max_error");
    let error = elsewhere.check_for(TargetKind::Numbers).unwrap_err();
    assert_eq!(error, MetricError::Unknown { found: "max_error".to_owned() });
}

#[test]
fn better_is_as_the_direction_says() {
    use Direction::{Higher, Lower};
    assert!(Lower.improves(0.5, Some(0.6), 0.0) && !Lower.improves(0.6, Some(0.6), 0.0));
    assert!(Higher.improves(0.6, Some(0.5), 0.0) && !Higher.improves(0.5, Some(0.5), 0.0));
    assert!(!Lower.improves(0.55, Some(0.6), 0.1) && Lower.improves(0.45, Some(0.6), 0.1));
    assert!(Lower.improves(9.0, None, 0.1) && !Lower.improves(f64::NAN, None, 0.0));
    assert!(!Lower.improves(f64::NAN, Some(1.0), 0.0));
}
