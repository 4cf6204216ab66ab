//! Normalization: the mean and variance of a data set, which are known before training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{AtenArgument, AtenNode, Module, OnnxAttribute, OnnxInput, OnnxNode};
use super::layer_kind::{self, Context, LayerError, LayerKind, Variables};
use crate::native::{LibtorchError, tensor_buffer};

/// Computes (x - mean) / max(√variance, 1e-7) along an axis, with fixed numbers: Keras's `Normalization`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// The mean of each value.
    pub mean: Vec<f32>,
    /// The variance of each value.
    pub variance: Vec<f32>,
    /// Whether the axis is the first one of a sample, the channels of a picture \[channels, height, width\] (Keras:
    /// `axis=1`), and not the last (`axis=-1`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub channels: bool,
}

impl Normalization {
    /// Returns a layer with these means and variances.
    pub fn new(mean: impl Into<Vec<f32>>, variance: impl Into<Vec<f32>>) -> Self {
        Self { mean: mean.into(), variance: variance.into(), channels: false }
    }

    /// Returns a layer with these means and variances of the channels of pictures.
    pub fn of_channels(mean: impl Into<Vec<f32>>, variance: impl Into<Vec<f32>>) -> Self {
        Self { channels: true, ..Self::new(mean, variance) }
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
        let single =
            |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<_>>();
        Self::new(single(mean), single(squares))
    }

    /// Returns the divisors.
    pub(crate) fn deviations(&self) -> Vec<f32> {
        self.variance.iter().map(|variance| variance.sqrt().max(1e-7)).collect()
    }

    /// Describes the layer along the channels. The formats have the operation: a batch normalization with fixed
    /// numbers.
    fn describe_channels(&self) -> Module {
        let (mean, deviations) = (&self.mean, self.deviations());
        let (ones, zeros) = (vec![1.0; mean.len()], vec![0.0; mean.len()]);
        let squares: Vec<f32> = deviations.iter().map(|deviation| deviation.powi(2)).collect();
        let numbers = [&ones, &zeros, mean, &squares];
        let tensors = numbers
            .map(|values| format!("torch.tensor({values:?}, dtype=x.dtype, device=x.device)"))
            .join(", ");
        let inputs = numbers.map(|numbers| OnnxInput::Numbers(numbers.clone()));
        let inputs = std::iter::once(OnnxInput::Last).chain(inputs).collect::<Vec<_>>();
        let names = ["weight", "bias", "running_mean", "running_var"];
        let arguments = names.into_iter().zip(numbers);
        let arguments =
            arguments.map(|(name, values)| (name, AtenArgument::Numbers(name, values.clone())));
        let arguments = std::iter::once(("input", AtenArgument::Last)).chain(arguments).chain([
            ("training", AtenArgument::Bool(false)),
            ("momentum", AtenArgument::Float(0.0)),
            ("eps", AtenArgument::Float(0.0)),
            ("cudnn_enabled", AtenArgument::Bool(true)),
        ]);
        let node = OnnxNode::new("BatchNormalization", inputs);
        Module {
            torch: format!("ChannelNormalization({mean:?}, {deviations:?})"),
            definition: Some(CHANNELS_DEFINITION),
            script: format!("torch.batch_norm(x, {tensors}, False, 0.0, 0.0, True)"),
            onnx: Some(vec![node.with("epsilon", OnnxAttribute::Float(0.0))]),
            aten: Some(vec![AtenNode::new("batch_norm.default", arguments.collect::<Vec<_>>())]),
            keras: Some(format!(
                "layers.Normalization(axis=1, mean={mean:?}, variance={:?})",
                self.variance
            )),
            ..Module::default()
        }
    }
}

/// Along the channels.
const CHANNELS_DEFINITION: &str = "class ChannelNormalization(nn.Module):
    def __init__(self, mean, deviation):
        super().__init__()
        self.mean, self.deviation = mean, deviation

    def forward(self, x):
        shape = (-1,) + (1,) * (x.dim() - 2)
        return (x - x.new_tensor(self.mean).view(shape)) / x.new_tensor(self.deviation).view(shape)
";

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
        let axis = if self.channels { input.first() } else { input.last() };
        let size = axis.copied().unwrap_or(0);
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

    fn multiply_adds(&self, input: &[usize]) -> usize {
        layer_kind::one_per_value(input)
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let list = |values: &[f32]| -> Result<Tensor, LibtorchError> {
            let list = tensor_buffer::on_device(values, x.device())?;
            if !self.channels {
                return Ok(list);
            }
            let mut shape = vec![1; x.dim().saturating_sub(1)];
            shape.iter_mut().take(1).for_each(|size| *size = values.len() as i64);
            Ok(list.f_reshape(shape)?)
        };
        let centered = x.f_sub(&list(&self.mean)?)?;
        Ok(centered.f_div(&list(&self.deviations())?)?.f_to_kind(context.kind)?)
    }

    fn describe(&self, _: &[usize]) -> Option<Vec<Module>> {
        if self.channels {
            return Some(vec![self.describe_channels()]);
        }
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
