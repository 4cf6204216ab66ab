//! DepthwiseConv2D: a convolution of each channel of a picture on its own.

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

/// A convolution of each channel with `depth_multiplier` filters, [batch, channels, height, width] →
/// [batch, channels · depth_multiplier, …]: Keras's `DepthwiseConv2D`, and `torch.nn.Conv2d` with as many groups as
/// channels.
///
/// The weights are [channels · depth_multiplier, 1, height, width], the filters of the first channel first (Keras's
/// kernel is [height, width, channels, depth_multiplier]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepthwiseConv2D {
    /// The height and width of the filters.
    pub kernel_size: Size2D,
    /// The steps by which the filters move down and right.
    #[serde(default = "Size2D::one")]
    pub strides: Size2D,
    /// The padding around the picture.
    #[serde(default)]
    pub padding: Padding,
    /// The number of filters of each channel, at least 1.
    #[serde(default = "one")]
    pub depth_multiplier: usize,
    /// The distance of the values that a filter takes.
    #[serde(default = "Size2D::one")]
    pub dilation_rate: Size2D,
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

impl DepthwiseConv2D {
    /// Returns a layer of one filter of this size for each channel, without an activation.
    pub fn new(kernel_size: impl Into<Size2D>) -> Self {
        Self {
            kernel_size: kernel_size.into(),
            strides: Size2D::one(),
            padding: Padding::Valid,
            depth_multiplier: 1,
            dilation_rate: Size2D::one(),
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

    /// Returns the same layer with this number of filters of each channel.
    pub fn depth_multiplier(self, depth_multiplier: usize) -> Self {
        Self { depth_multiplier, ..self }
    }

    /// Returns the same layer with this dilation.
    pub fn dilation_rate(self, dilation_rate: impl Into<Size2D>) -> Self {
        Self { dilation_rate: dilation_rate.into(), ..self }
    }

    /// Returns the same layer with or without a bias.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// Returns the same layer with this activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// Returns the windows over pictures of this height and width.
    pub(crate) fn window_places(&self, picture: [usize; 2]) -> WindowPlaces {
        self.convolution(1).window.places(picture)
    }

    fn convolution(&self, channels: usize) -> Convolution {
        let window = Window {
            size: self.kernel_size,
            strides: self.strides,
            dilation: self.dilation_rate,
            padding: self.padding,
        };
        let filters = channels.saturating_mul(self.depth_multiplier);
        Convolution { channels, filters, groups: channels, window }
    }
}

impl LayerKind for DepthwiseConv2D {
    fn name(&self) -> &'static str {
        "DepthwiseConv2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let channels = input.first().copied().unwrap_or(0);
        let rule = "DepthwiseConv2D needs a depth_multiplier of at least 1";
        LayerError::unless(self.depth_multiplier > 0, rule, self.depth_multiplier, "")?;
        self.convolution(channels).output_shape("DepthwiseConv2D", input)
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let &[channels, ..] = input else { return Vec::new() };
        let own = self.convolution(channels);
        let initializer = own.depthwise_initializer(self.depth_multiplier);
        let mut variables = vec![Variable::parameter("weight", &own.weight(), initializer)];
        if self.use_bias {
            let zeros = Initializer::Constant(0.0);
            variables.push(Variable::parameter("bias", &[own.filters], zeros));
        }
        variables
    }

    fn multiply_adds(&self, input: &[usize]) -> usize {
        let channels = input.first().copied().unwrap_or(0);
        self.convolution(channels).multiply_adds(input)
    }

    fn forward(
        &self,
        x: &Tensor,
        variables: &Variables<'_>,
        context: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        let [weight] = variables.parameters()?;
        let bias = variables.parameters.get(1);
        let channels = x.size().get(1).map_or(0, |&channels| channels as usize);
        let y = self.convolution(channels).forward(x, weight, bias, context.kind)?;
        self.activation.apply(&y)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let &[channels, height, width] = input else { return None };
        let (own, picture) = (self.convolution(channels), [height, width]);
        let mut keras = format!("layers.DepthwiseConv2D({}", self.kernel_size.python());
        keras.push_str(&own.keras());
        if self.depth_multiplier != 1 {
            keras.push_str(&format!(", depth_multiplier={}", self.depth_multiplier));
        }
        keras.push_str(&convolution::keras_end(self.activation, self.use_bias));
        let convolution = Module {
            keras: Some(keras),
            keras_axes: KerasAxes::Last,
            depth_multiplier: self.depth_multiplier,
            ..own.module(picture, self.use_bias)
        };
        Some(self.activation.after(convolution))
    }

    fn last_activation(&self) -> Activation {
        self.activation
    }
}
