//! Normalization: the mean and variance of a data set, which are known before training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, Module, OnnxInput, OnnxNode};
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use crate::native::{LibtorchError, tensor_buffer};

/// Computes (x - mean) / max(√variance, 1e-7) along the last axis, with fixed numbers: Keras's `Normalization`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// The mean of each value.
    pub mean: Vec<f32>,
    /// The variance of each value.
    pub variance: Vec<f32>,
}

impl Normalization {
    /// Returns a layer with these means and variances.
    pub fn new(mean: impl Into<Vec<f32>>, variance: impl Into<Vec<f32>>) -> Self {
        Self { mean: mean.into(), variance: variance.into() }
    }

    /// Returns a layer with the means and variances of `rows`, like Keras's `adapt`: the values are given row by row,
    /// `size` in each, and the variances are divided by the number of rows. Without rows it does nothing.
    pub fn adapted(rows: &[f32], size: usize) -> Self {
        let (mut mean, mut squares) = (vec![0f64; size], vec![0f64; size]);
        let count = rows.len().checked_div(size).unwrap_or(0).max(1) as f64;
        let all = || rows.chunks_exact(size.max(1));
        for row in all() {
            mean.iter_mut().zip(row).for_each(|(mean, &x)| *mean += f64::from(x) / count);
        }
        for row in all() {
            for ((square, mean), &x) in squares.iter_mut().zip(&mean).zip(row) {
                *square += (f64::from(x) - mean).powi(2) / count;
            }
        }
        if rows.len() < size {
            squares.fill(1.0);
        }
        let single = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        Self { mean: single(mean), variance: single(squares) }
    }

    /// Returns the divisors.
    fn deviations(&self) -> Vec<f32> {
        self.variance.iter().map(|variance| variance.sqrt().max(1e-7)).collect()
    }
}

/// PyTorch has no such module.
const DEFINITION: &str = "class Normalization(nn.Module):
    def __init__(self, mean, deviation):
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, x):
        return (x - x.new_tensor(self.mean)) / x.new_tensor(self.deviation)
";

impl LayerKind for Normalization {
    fn name(&self) -> &'static str {
        "Normalization"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let size = input.last().copied().unwrap_or(0);
        let found = format!("{} and {}", self.mean.len(), self.variance.len());
        let holds = self.mean.len() == size && self.variance.len() == size;
        let rule = format!("it needs {size} means and variances, one for each value");
        LayerError::unless(holds, &rule, found, "")?;
        let bad = self.mean.iter().find(|mean| !mean.is_finite());
        let bad = bad.or(self.variance.iter().find(|v| !(v.is_finite() && **v >= 0.0)));
        let rule = "means must be finite, and variances at least 0";
        LayerError::unless(bad.is_none(), rule, bad.copied().unwrap_or_default(), "")?;
        Ok(input.to_vec())
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let list = |values: &[f32]| tensor_buffer::on_device(values, x.device());
        let centered = x.f_sub(&list(&self.mean)?)?;
        Ok(centered.f_div(&list(&self.deviations())?)?.f_to_kind(context.kind)?)
    }

    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        let (mean, deviations) = (&self.mean, self.deviations());
        let tensor =
            |values: &[f32]| format!("torch.tensor({values:?}, dtype=x.dtype, device=x.device)");
        let numbers = |values: &[f32]| OnnxInput::Numbers(values.to_vec());
        let aten = |operator, name, values: &[f32]| {
            let other = AtenArgument::Numbers(name, values.to_vec());
            AtenNode::new(operator, [("self", AtenArgument::Last), ("other", other)])
        };
        Some(vec![Module {
            torch: format!("Normalization({mean:?}, {deviations:?})"),
            definition: Some(DEFINITION),
            script: format!("(x - {}) / {}", tensor(mean), tensor(&deviations)),
            onnx: Some(vec![
                OnnxNode::new("Sub", [OnnxInput::Last, numbers(mean)]),
                OnnxNode::new("Div", [OnnxInput::Last, numbers(&deviations)]),
            ]),
            aten: Some(vec![
                aten("sub.Tensor", "mean", mean),
                aten("div.Tensor", "deviation", &deviations),
            ]),
            keras: Some(format!(
                "layers.Normalization(mean={mean:?}, variance={:?})",
                self.variance
            )),
            ..Module::default()
        }])
    }
}
