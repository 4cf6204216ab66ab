//! Which predictions count as correct while training.

use tch::{Kind, Tensor};

use super::loss_kind::{LossKind, RowTarget};
use crate::data::TargetKind;
use crate::model::OutputActivation;
use crate::native::LibtorchError;

/// The rule for correct predictions, by the targets: the highest output is the class's; or, for two classes with
/// one output and for several labels, the output is on the label's side of a threshold. None for numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Correct {
    /// The highest output is that of the class.
    Top,
    /// An output above this number, which is a probability of 0.5, predicts 1.
    Above(f64),
    /// Numbers are not correct or wrong.
    None,
}

impl Correct {
    /// Returns the rule for a network of this many outputs.
    pub fn of(loss: &dyn LossKind, targets: TargetKind, outputs: usize) -> Self {
        let threshold = match loss.output_activation() {
            // sigmoid(0) is 0.5.
            OutputActivation::Sigmoid => 0.0,
            _ => 0.5,
        };
        match targets {
            TargetKind::Class if outputs > 1 => Self::Top,
            TargetKind::Class | TargetKind::Labels => Self::Above(threshold),
            TargetKind::Numbers => Self::None,
        }
    }

    /// Returns the number of correct predictions of a batch: an i64 on its device. Of several labels, each counts.
    pub fn count(self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor, LibtorchError> {
        let correct = match self {
            Self::Top => outputs.f_argmax(-1, false)?.f_eq_tensor(targets)?,
            Self::Above(threshold) => {
                let wanted = targets.f_view_as(outputs)?.f_gt(0.5)?;
                outputs.f_gt(threshold)?.f_eq_tensor(&wanted)?
            }
            Self::None => return Ok(Tensor::f_zeros([0i64; 0], (Kind::Int64, outputs.device()))?),
        };
        Ok(correct.f_sum(Kind::Int64)?)
    }

    /// Returns the number of correct predictions of one sample.
    pub fn of_row(self, outputs: &[f32], target: RowTarget) -> i64 {
        let above = |threshold: f64, output: f32| f64::from(output) > threshold;
        match (self, target) {
            (Self::None, _) => 0,
            (Self::Top, RowTarget::Class(class)) => i64::from(is_highest(outputs, class)),
            (Self::Above(threshold), RowTarget::Class(class)) => {
                i64::from(above(threshold, outputs[0]) == (class == 1))
            }
            (Self::Above(threshold), RowTarget::Values(labels)) => {
                let pairs = outputs.iter().zip(labels);
                let correct = pairs.filter(|&(&o, &l)| above(threshold, o) == (l > 0.5));
                correct.count() as i64
            }
            (Self::Top, RowTarget::Values(_)) => 0,
        }
    }

    /// Returns the fraction of correct predictions among those of `samples` samples; none for numbers.
    pub fn fraction(self, correct: i64, samples: usize, outputs: usize) -> Option<f64> {
        match self {
            Self::Top => Some(correct as f64 / samples as f64),
            Self::Above(_) => Some(correct as f64 / (samples * outputs) as f64),
            Self::None => None,
        }
    }
}

/// Returns whether the highest output is that of the class, the first of several. NaN wins, as in libtorch.
fn is_highest(outputs: &[f32], class: usize) -> bool {
    let (before, own, after) = (&outputs[..class], outputs[class], &outputs[class + 1..]);
    if own.is_nan() {
        return !before.iter().any(|output| output.is_nan());
    }
    // Without a branch for each output; a comparison with NaN does not hold.
    let below = before.iter().filter(|output| **output < own).count();
    let not_above = after.iter().filter(|output| **output <= own).count();
    below + not_above + 1 == outputs.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_output_is_libtorchs() {
        let nan = f32::NAN;
        for outputs in [
            [1.0, 3.0, 2.0],
            [3.0, 3.0, 1.0],
            [0.0, -0.0, 0.0],
            [1.0, nan, 5.0],
            [nan, 1.0, nan],
            [1.0, 2.0, nan],
            [f32::NEG_INFINITY; 3],
        ] {
            let expected = Tensor::from_slice(&outputs).argmax(-1, false).int64_value(&[]);
            for class in 0..3 {
                let found = Correct::Top.of_row(&outputs, RowTarget::Class(class));
                assert_eq!(found == 1, class as i64 == expected, "{outputs:?}, class {class}");
            }
        }
    }
}
