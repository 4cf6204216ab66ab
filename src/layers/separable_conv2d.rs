//! SeparableConv2D: a depthwise convolution, followed by one of single pixels.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::activation::Activation;
use super::conv2d::yes;
use super::convolution::{self, Convolution};
use super::exported_module::{KerasAxes, Module};
use super::initializer::Initializer;
use super::layer_kind::{Context, LayerError, LayerKind, Variable, Variables};
use super::window::{Padding, Size2D, Window, WindowPlaces};
use crate::native::LibtorchError;

/// A convolution of each channel with `depth_multiplier` filters, followed by one of all channels at each
/// place, [batch, channels, height, width] → [batch, filters, …]: Keras's `SeparableConv2D`, and the same as
/// [`DepthwiseConv2D`](super::DepthwiseConv2D) without bias and [`Conv2D`](super::Conv2D) of size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeparableConv2D {
    /// The number of outputs at each place, at least 1.
    pub filters: usize,
    /// The height and width of the depthwise filters.
    pub kernel_size: Size2D,
    /// The steps by which these move down and right.
    #[serde(default = "Size2D::one")]
    pub strides: Size2D,
    /// The padding around the picture.
    #[serde(default)]
    pub padding: Padding,
    /// The distance of the values that a depthwise filter takes.
    #[serde(default = "Size2D::one")]
    pub dilation_rate: Size2D,
    /// The number of depthwise filters of each channel, at least 1.
    #[serde(default = "one")]
    pub depth_multiplier: usize,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub use_bias: bool,
    /// The activation applied to each output.
    #[serde(default)]
    pub activation: Activation,
}

fn one() -> usize {
    1
}

impl SeparableConv2D {
    /// Returns a layer of `filters` outputs with depthwise filters of this size, without an activation.
    pub fn new(filters: usize, kernel_size: impl Into<Size2D>) -> Self {
        Self {
            filters,
            kernel_size: kernel_size.into(),
            strides: Size2D::one(),
            padding: Padding::Valid,
            dilation_rate: Size2D::one(),
            depth_multiplier: 1,
            use_bias: true,
            activation: Activation::Linear,
        }
    }

    /// Returns the same layer with these strides.
    pub fn strides(self, strides: impl Into<Size2D>) -> Self {
        Self { strides: strides.into(), ..self }
    }

    /// Returns the same layer with this padding.
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// Returns the same layer with this dilation.
    pub fn dilation_rate(self, dilation_rate: impl Into<Size2D>) -> Self {
        Self { dilation_rate: dilation_rate.into(), ..self }
    }

    /// Returns the same layer with this number of depthwise filters of each channel.
    pub fn depth_multiplier(self, depth_multiplier: usize) -> Self {
        Self { depth_multiplier, ..self }
    }

    /// Returns the same layer with or without a bias.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// Returns the same layer with this activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Returns the depthwise and the pointwise convolution.
    /// Returns the windows of the depthwise filters over pictures of this height and width.
    pub(crate) fn window_places(&self, picture: [usize; 2]) -> WindowPlaces {
        self.convolutions(1)[0].window.places(picture)
    }

    fn convolutions(&self, channels: usize) -> [Convolution; 2] {
        let window = Window {
            size: self.kernel_size,
            strides: self.strides,
            dilation: self.dilation_rate,
            padding: self.padding,
        };
        let inner = channels.saturating_mul(self.depth_multiplier);
        let one = Size2D::one();
        let point = Window { size: one, strides: one, dilation: one, padding: Padding::Valid };
        [
            Convolution { channels, filters: inner, groups: channels, window },
            Convolution { channels: inner, filters: self.filters, groups: 1, window: point },
        ]
    }
}

impl LayerKind for SeparableConv2D {
    fn name(&self) -> &'static str {
        "SeparableConv2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (name, channels) = ("SeparableConv2D", input.first().copied().unwrap_or(0));
        let rule = "SeparableConv2D needs at least 1 filter";
        LayerError::unless(self.filters > 0, rule, self.filters, "")?;
        let rule = "SeparableConv2D needs a depth_multiplier of at least 1";
        LayerError::unless(self.depth_multiplier > 0, rule, self.depth_multiplier, "")?;
        let [depthwise, pointwise] = self.convolutions(channels);
        pointwise.output_shape(name, &depthwise.output_shape(name, input)?)
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let &[channels, ..] = input else { return Vec::new() };
        let [depthwise, pointwise] = self.convolutions(channels);
        let initializer = depthwise.depthwise_initializer(self.depth_multiplier);
        let mut variables = vec![
            Variable::parameter("0.weight", &depthwise.weight(), initializer),
            Variable::parameter("1.weight", &pointwise.weight(), pointwise.initializer()),
        ];
        if self.use_bias {
            let zeros = Initializer::Constant(0.0);
            variables.push(Variable::parameter("1.bias", &[self.filters], zeros));
        }
        variables
    }

    fn multiply_adds(&self, input: &[usize]) -> usize {
        let &[channels, height, width] = input else { return 0 };
        let [depthwise, pointwise] = self.convolutions(channels);
        let [rows, columns] = depthwise.output([height, width]);
        let inner = [depthwise.filters, rows, columns];
        depthwise.multiply_adds(input).saturating_add(pointwise.multiply_adds(&inner))
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let [depthwise_weight, pointwise_weight] = variables.parameters()?;
        let bias = variables.parameters.get(2);
        let channels = x.size().get(1).map_or(0, |&channels| channels as usize);
        let [depthwise, pointwise] = self.convolutions(channels);
        let y = depthwise.forward(x, depthwise_weight, None, context.kind)?;
        self.activation.apply(&pointwise.forward(&y, pointwise_weight, bias, context.kind)?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let &[channels, height, width] = input else { return None };
        let [depthwise, pointwise] = self.convolutions(channels);
        let mut keras =
            format!("layers.SeparableConv2D({}, {}", self.filters, self.kernel_size.python());
        keras.push_str(&depthwise.keras());
        if self.depth_multiplier != 1 {
            keras.push_str(&format!(", depth_multiplier={}", self.depth_multiplier));
        }
        keras.push_str(&convolution::keras_end(self.activation, self.use_bias));
        let between = depthwise.output([height, width]);
        let block =
            [depthwise.module([height, width], false), pointwise.module(between, self.use_bias)];
        let block = block.map(|inner| Module { keras: Some(String::new()), ..inner });
        let variables = self.variables(input).into_iter().map(|variable| variable.name);
        let separable = Module {
            torch: "nn.Sequential".to_owned(),
            keras: Some(keras),
            keras_axes: KerasAxes::Last,
            depth_multiplier: self.depth_multiplier,
            variables: variables.collect(),
            block: block.into(),
            ..Module::default()
        };
        Some(self.activation.after(separable))
    }

    fn last_activation(&self) -> Activation {
        self.activation
    }
}
