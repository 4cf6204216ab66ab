//! A custom loss, the quantile loss, which learns what is exceeded in one case of ten; and a custom metric,
//! which counts these cases: `cargo run --release --example own_loss`.

use std::collections::BTreeMap;

use seqfit::data::{Dataset, Features, TargetKind, Targets};
use seqfit::layers::Dense;
use seqfit::losses::{LossKind, RowLoss, RowTarget};
use seqfit::metrics::{Direction, MetricKind, Predictions, Undefined};
use seqfit::tch::{Kind, Tensor};
use seqfit::{
    Device, Engine, FitConfig, LibtorchError, Loss, Measures, Metric, OutputActivation, Sequential,
};

/// Numbers that are too low cost `level`, and numbers that are too high 1 - `level` for each unit.
#[derive(Debug)]
struct Quantile {
    level: f64,
}

impl LossKind for Quantile {
    fn name(&self) -> &'static str {
        "quantile"
    }

    fn outputs_for(&self, targets: TargetKind, count: usize) -> Option<usize> {
        (targets == TargetKind::Numbers).then_some(count)
    }

    fn output_activation(&self) -> OutputActivation {
        OutputActivation::Linear
    }

    fn values(&self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let low = targets.f_sub(outputs)?;
        let values =
            (low.f_mul_scalar(self.level)?).f_maximum(&low.f_mul_scalar(self.level - 1.0)?)?;
        Ok(values.f_mean_dim(&[-1i64][..], false, Kind::Float)?)
    }

    // A run folder records them beside the name.
    fn settings(&self) -> BTreeMap<String, f64> {
        BTreeMap::from([("level".to_owned(), self.level)])
    }

    // Without this, networks train by autograd, and the engine for Dense stacks on the CPU refuses the loss.
    fn rows(&self) -> Option<&dyn RowLoss> {
        Some(self)
    }
}

impl RowLoss for Quantile {
    fn row(&self, outputs: &[f32], target: RowTarget, gradient: &mut [f32]) -> f64 {
        let RowTarget::Values(targets) = target else { return f64::NAN };
        let (level, numbers) = (self.level as f32, outputs.len() as f32);
        let mut sum = 0.0;
        for ((output, target), gradient) in outputs.iter().zip(targets).zip(gradient) {
            let low = target - output;
            let slope = if low > 0.0 { level } else { level - 1.0 };
            sum += slope * low;
            *gradient = -slope / numbers;
        }
        f64::from(sum / numbers)
    }
}

/// The fraction of the numbers that are not above their prediction.
#[derive(Debug)]
struct Coverage;

impl MetricKind for Coverage {
    fn name(&self) -> String {
        "coverage".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Numbers]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let enough: Vec<bool> = predictions.errors().map(|error| error >= 0.0).collect();
        Ok(enough.iter().filter(|&&enough| enough).count() as f64 / enough.len() as f64)
    }
}

pub fn main() -> Result<(), seqfit::Error> {
    // Waiting times in minutes by the hour of the day: anything up to the hour's number.
    let hours: Vec<f32> = (0..600).map(|i| (i % 10) as f32 / 10.0).collect();
    let waits: Vec<f32> = (0..600).map(|i| hours[i] * ((i * 7919 % 600) as f32 / 600.0)).collect();
    let data =
        Dataset::from_arrays(Features::floats(hours, [1]), Targets::numbers(waits, ["wait"]))?;
    let loss = Loss::custom(Quantile { level: 0.9 });
    let mut exceeded = Vec::new();
    for engine in [Engine::Fused, Engine::Autograd] {
        let mut model = Sequential::new([1]).add(Dense::new(1)).build(Device::Cpu, 0)?;
        let config = FitConfig { epochs: 200, loss: loss.clone(), engine, ..Default::default() };
        let history = model.fit(&data, &config, &mut [])?;
        let measures = Measures { loss: Some(&loss), metrics: &[Metric::custom(Coverage)] };
        let coverage = model.evaluate_with(&data, measures)?.metrics["coverage"];
        let wait =
            model.predict(&Tensor::from_slice(&[0.5f32]).reshape([1, 1]))?.double_value(&[0, 0]);
        let last = history.last().map_or(f64::NAN, |epoch| epoch.loss);
        println!("at the fifth hour: {wait:.2} minutes, loss {last:.4}, coverage {coverage:.2}");
        assert!((coverage - 0.9).abs() < 0.05, "{coverage}");
        exceeded.push(wait);
    }
    assert!(exceeded.iter().all(|wait| (wait - 0.45).abs() < 0.1), "{exceeded:?}");
    Ok(())
}
