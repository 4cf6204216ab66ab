//! The coefficient of determination.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::{TargetKind, Targets};

/// R², the fraction of the targets' variance that is explained: 1 − Σ (y − ŷ)² / Σ (y − ȳ)² (`r2_score` with
/// `force_finite=False`); of several numbers the mean of each one's. A constant prediction of the mean has 0,
/// a worse one less.
#[derive(Debug)]
pub struct R2;

impl MetricKind for R2 {
    fn name(&self) -> String {
        "r2".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Numbers]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let Targets::Numbers { values, names } = predictions.targets() else {
            return Err(Undefined("it is for numbers".to_owned()));
        };
        let (samples, outputs) = (predictions.samples(), names.len());
        if samples < 2 {
            return Err(Undefined("it needs at least 2 samples".to_owned()));
        }
        let errors: Vec<f64> = predictions.errors().collect();
        let explained = |(output, name): (usize, &String)| {
            let column = || values.iter().skip(output).step_by(outputs).copied().map(f64::from);
            let mean = column().sum::<f64>() / samples as f64;
            let total: f64 = column().map(|value| (value - mean).powi(2)).sum();
            let left = errors.iter().skip(output).step_by(outputs).map(|error| error * error);
            match total > 0.0 {
                true => Ok(1.0 - left.sum::<f64>() / total),
                false => Err(Undefined(format!("{name:?} is the same in every sample"))),
            }
        };
        let sum: f64 = names.iter().enumerate().map(explained).sum::<Result<f64, Undefined>>()?;
        Ok(sum / outputs as f64)
    }
}
