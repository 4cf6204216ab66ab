//! Cohen's kappa.

use super::metric_kind::{Direction, MetricKind};
use super::predictions::Predictions;
use super::undefined::Undefined;
use crate::data::TargetKind;

/// How much more often predicted and true classes agree than by chance, (o − e) / (1 − e) with the fraction o of samples
/// that are right and the fraction e that would be right if predictions were drawn in the proportions that they have
/// (`cohen_kappa_score`): at most 1, and 0 for chance.
#[derive(Debug)]
pub struct CohenKappa;

impl MetricKind for CohenKappa {
    fn name(&self) -> String {
        "cohen_kappa".to_owned()
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
        let by_chance = counts.iter().map(|[class, predicted]| class * predicted).sum::<f64>();
        match samples * samples - by_chance {
            0.0 => {
                Err(Undefined("all samples and all predictions are of the same class".to_owned()))
            }
            left => Ok((samples * right - by_chance) / left),
        }
    }
}
