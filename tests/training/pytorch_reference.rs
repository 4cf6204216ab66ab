//! Tests that training computes the same numbers as PyTorch. tests/fixtures/make_reference.py wrote the
//! expected values.

use std::collections::{BTreeMap, HashMap};

use safetensors::tensor::{Dtype, TensorView};
use seqfit::data::Dataset;
use seqfit::layers::{Dense, Flatten};
use seqfit::recipe::overlay;
use seqfit::{Activation, Device, Engine, FitConfig, Loss, Optimizer, Sequential};
use serde::Deserialize;

/// Largest difference allowed, in units of max(1, |expected|): float32 against float64 over 20
/// steps.
const TOLERANCE: f64 = 2e-5;

#[derive(Deserialize)]
struct Reference {
    pixels: Vec<Vec<Vec<u8>>>,
    labels: Vec<u8>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    activation: Activation,
    optimizer: Optimizer,
    extra: toml::Table,
    initial: BTreeMap<String, Values>,
    losses: Vec<f64>,
    rates: Vec<f64>,
    weights: BTreeMap<String, Values>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Bias(Vec<f64>),
    Weight(Vec<Vec<f64>>),
}

impl Values {
    fn shape(&self) -> Vec<usize> {
        match self {
            Self::Bias(values) => vec![values.len()],
            Self::Weight(rows) => vec![rows.len(), rows[0].len()],
        }
    }

    fn flat(&self) -> Vec<f64> {
        match self {
            Self::Bias(values) => values.clone(),
            Self::Weight(rows) => rows.concat(),
        }
    }
}

/// Returns the file with a case's initial weights.
fn safetensors(values: &BTreeMap<String, Values>) -> Vec<u8> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = values
        .iter()
        .map(|(name, values)| {
            let data = values.flat().iter().flat_map(|&v| (v as f32).to_le_bytes()).collect();
            (name.clone(), values.shape(), data)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, data)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    safetensors::serialize(views, None::<HashMap<_, _>>).unwrap()
}

fn close(got: f64, expected: f64) -> bool {
    (got - expected).abs() <= TOLERANCE * expected.abs().max(1.0)
}

#[test]
fn losses_learning_rates_and_weights_match_pytorch_for_every_method() {
    let reference: Reference =
        serde_json::from_str(include_str!("../fixtures/reference.json")).unwrap();
    let pixels = reference.pixels.concat().concat();
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    let dataset = Dataset::new(pixels, [2, 3], reference.labels, classes).unwrap();
    assert_eq!(reference.cases.len(), 13 + 16);
    for case in &reference.cases {
        let engines = [Engine::Autograd, Engine::Fused];
        let ways = [Loss::Sparse, Loss::Categorical].map(|loss| engines.map(|e| (loss.clone(), e)));
        for (loss, engine) in ways.concat() {
            let what = format!(
                "{:?} {:?} {:?} {loss:?} {engine:?}",
                case.optimizer, case.activation, case.extra
            );
            let mut model = Sequential::new([2, 3])
                .add(Flatten)
                .add(Dense::new(5).activation(case.activation))
                .add(Dense::new(3))
                .build(Device::Cpu, 0)
                .unwrap();
            model.load_safetensors(&safetensors(&case.initial)).unwrap();
            let config = FitConfig {
                epochs: case.losses.len(),
                batch_size: dataset.len(),
                optimizer: case.optimizer,
                loss,
                engine,
                ..FitConfig::default()
            };
            let config = overlay(&config, case.extra.clone()).unwrap();
            let history = model.fit(&dataset, &config, &mut []).unwrap();
            let expected = case.losses.iter().zip(&case.rates);
            for (record, (&expected, &rate)) in history.epochs.iter().zip(expected) {
                assert!(close(record.loss, expected), "{what}: {} for {expected}", record.loss);
                let got = record.learning_rate;
                assert!((got - rate).abs() <= 1e-12 * rate, "{what}: rate {got} for {rate}");
            }
            for (name, tensor) in model.parameters() {
                let expected = &case.weights[name];
                let shape: Vec<usize> = tensor.size().iter().map(|&n| n as usize).collect();
                assert_eq!(shape, expected.shape());
                let mut got = vec![0f32; tensor.numel()];
                tensor.detach().copy_data(&mut got, tensor.numel());
                for (got, expected) in got.iter().zip(expected.flat()) {
                    assert!(close((*got).into(), expected), "{what} {name}: {got} for {expected}");
                }
            }
        }
    }
}
