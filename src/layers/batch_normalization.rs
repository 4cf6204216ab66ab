//! BatchNormalization: mean 0 and variance 1 over the samples of a batch.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::exported_module::{
    AtenArgument, AtenNode, KerasAxes, Module, OnnxAttribute, OnnxInput, OnnxNode,
};
use super::initializer::Initializer;
use super::layer_kind::{self, Context, LayerError, LayerKind, Variable, Variables};
use crate::native::LibtorchError;

/// Normalizes each value of vectors, or each channel of pictures of [channels, height, width], over the batch, then
/// scales and shifts it (Ioffe and Szegedy, 2015).
///
/// In training the mean and variance are those of the batch; otherwise those of the running statistics, which follow
/// them: running = momentum · running + (1 - momentum) · batch. This momentum is Keras's: PyTorch's is 1 - momentum,
/// 0.01 for the default. As in `torch.nn.BatchNorm1d` and `BatchNorm2d` the batch is normalized by its own variance (divided by n), and
/// the running variance follows the unbiased one (divided by n - 1), where Keras takes the former. A batch size of
/// one vector is refused, and a last batch of one, which has no unbiased variance, leaves the running statistics as they are.
///
/// With several ranks each microbatch has its own statistics, as in PyTorch's `DistributedDataParallel` without
/// `SyncBatchNorm`, and the running statistics are the mean over the microbatches. bf16 training computes all of this
/// in f32.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNormalization {
    /// The weight of the running statistics before a step: 0 to 1. Keras's default is 0.99.
    pub momentum: f64,
    /// A small number added to the variance: Keras's default is 0.001, PyTorch's 0.00001.
    pub epsilon: f64,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self { momentum: 0.99, epsilon: 1e-3 }
    }
}

impl LayerKind for BatchNormalization {
    fn name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        if input.len() != 3 {
            LayerError::unless_vector("BatchNormalization", input)?;
        }
        LayerError::unless_fits(self.epsilon > 0.0, "epsilon must be above 0 and", self.epsilon)?;
        let holds = (0.0..=1.0).contains(&self.momentum);
        LayerError::unless(holds, "momentum must be from 0 to 1", self.momentum, "")?;
        Ok(input.to_vec())
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let size = &input[..input.len().min(1)];
        vec![
            Variable::parameter("weight", size, Initializer::Constant(1.0)),
            Variable::parameter("bias", size, Initializer::Constant(0.0)),
            Variable::buffer("running_mean", size, Initializer::Constant(0.0)),
            Variable::buffer("running_var", size, Initializer::Constant(1.0)),
        ]
    }

    /// One value has a mean, and no variance.
    fn smallest_batch(&self, input: &[usize]) -> usize {
        if input.iter().skip(1).product::<usize>() == 1 { 2 } else { 1 }
    }

    fn multiply_adds(&self, input: &[usize]) -> usize {
        layer_kind::one_per_value(input)
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let [weight, bias] = variables.parameters()?.map(Some);
        let [mean, variance] = variables.buffers()?;
        let x = x.f_to_kind(Kind::Float)?;
        let values = x.numel() / x.size().get(1).map_or(1, |&size| size.max(1) as usize);
        let updated = !context.training || values > 1;
        let (mean, variance) = (updated.then_some(mean), updated.then_some(variance));
        let (training, follow) = (context.training, 1.0 - self.momentum);
        let y =
            x.f_batch_norm(weight, bias, mean, variance, training, follow, self.epsilon, true)?;
        Ok(y.f_to_kind(context.kind)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let (size, epsilon) = (input.first().copied().unwrap_or(0), self.epsilon);
        let of_pictures = input.len() == 3;
        let class = if of_pictures { "BatchNorm2d" } else { "BatchNorm1d" };
        let follow = 1.0 - self.momentum;
        let variables = ["weight", "bias", "running_mean", "running_var"].map(str::to_owned);
        let inputs = variables.iter().cloned().map(OnnxInput::Variable);
        let inputs = std::iter::once(OnnxInput::Last).chain(inputs).collect::<Vec<_>>();
        let node = OnnxNode::new("BatchNormalization", inputs)
            .with("epsilon", OnnxAttribute::Float(epsilon as f32));
        // The names in the operator's schema are those of the variables.
        let arguments = ["weight", "bias", "running_mean", "running_var"]
            .map(|name| (name, AtenArgument::Variable(name.to_owned())));
        let arguments = [("input", AtenArgument::Last)]
            .into_iter()
            .chain(arguments)
            .chain([
                ("training", AtenArgument::Bool(false)),
                ("momentum", AtenArgument::Float(follow)),
                ("eps", AtenArgument::Float(epsilon)),
                ("cudnn_enabled", AtenArgument::Bool(true)),
            ])
            .collect::<Vec<_>>();
        let names = "{weight}, {bias}, {running_mean}, {running_var}";
        Some(vec![Module {
            torch: format!("nn.{class}({size}, eps={epsilon:?}, momentum={follow:?})"),
            script: format!(
                "torch.batch_norm(x, {names}, self.training, {follow:?}, {epsilon:?}, True)"
            ),
            onnx: Some(vec![node]),
            aten: Some(vec![AtenNode::new("batch_norm.default", arguments)]),
            keras: Some(format!(
                "layers.BatchNormalization(momentum={:?}, epsilon={epsilon:?})",
                self.momentum
            )),
            keras_axes: if of_pictures { KerasAxes::Last } else { KerasAxes::Same },
            variables: variables.into(),
            ..Module::default()
        }])
    }
}
