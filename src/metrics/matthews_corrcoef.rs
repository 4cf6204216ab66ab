//! The Matthews correlation coefficient.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// The correlation of predicted and true classes, from -1 to 1, and 0 for predictions at random, however rare a class is
/// (`matthews_corrcoef`; for more than two classes Gorodkin, 2004): with the s samples of which c are right, the
/// samples tₖ of class k and the predictions pₖ of it, (c s − Σ tₖ pₖ) / √((s² − Σ pₖ²) (s² − Σ tₖ²)).
#[derive(Debug)]
pub struct MatthewsCorrcoef;

impl MetricKind for MatthewsCorrcoef {
    fn name(&self) -> String {
        "matthews_corrcoef".to_owned()
    }

    fn direction(&self) -> Direction {
        Direction::Higher
    }

    fn targets(&self) -> &[TargetKind] {
        &[TargetKind::Class]
    }

    fn value(&self, predictions: &Predictions) -> Result<f64, Undefined> {
        let samples = predictions.samples() as f64;
        let (mut right, mut counts) = (0.0, vec![[0.0; 2]; predictions.outputs()]);
        for (class, predicted) in predictions.classes().zip(predictions.predicted_classes()) {
            counts[class][0] += 1.0;
            counts[predicted][1] += 1.0;
            right += f64::from(u8::from(class == predicted));
        }
        let sum = |of: fn(&[f64; 2]) -> f64| counts.iter().map(of).sum::<f64>();
        let covariance = right * samples - sum(|[class, predicted]| class * predicted);
        let classes = samples * samples - sum(|[class, _]| class * class);
        let predicted = samples * samples - sum(|[_, predicted]| predicted * predicted);
        for (variance, what) in [(classes, "samples are"), (predicted, "predictions are")] {
            if variance == 0.0 {
                return Err(Undefined(format!("all {what} of the same class")));
            }
        }
        Ok(covariance / (classes * predicted).sqrt())
    }
}
