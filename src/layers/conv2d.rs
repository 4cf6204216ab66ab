//! Conv2D: a convolution over the height and width of pictures.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::activation::Activation;
use super::convolution::{self, Convolution};
use super::exported_module::{KerasAxes, Module};
use super::initializer::Initializer;
use super::layer_kind::{Context, LayerError, LayerKind, Variable, Variables};
use super::window::{Padding, Size2D, Window, WindowPlaces};
use crate::native::LibtorchError;

/// A convolution: each filter moves over the picture, and y = activation(filters * x + b), [batch, channels, height,
/// width] → [batch, filters, …]. Names and defaults are Keras's.
///
/// The weights are [filters, channels / groups, height, width], like in `torch.nn.Conv2d` (Keras's kernel is [height,
/// width, channels / groups, filters]), drawn from the Glorot uniform distribution; the biases start at zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2D {
    /// The number of outputs at each place, at least 1.
    pub filters: usize,
    /// The height and width of the filters.
    pub kernel_size: Size2D,
    /// The steps by which the filters move down and right.
    #[serde(default = "Size2D::one")]
    pub strides: Size2D,
    /// The padding around the picture.
    #[serde(default)]
    pub padding: Padding,
    /// The distance of the values that a filter takes.
    #[serde(default = "Size2D::one")]
    pub dilation_rate: Size2D,
    /// The number of groups into which channels and filters are divided; each filter takes the channels of its group.
    #[serde(default = "one")]
    pub groups: usize,
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

pub(super) fn yes() -> bool {
    true
}

impl Conv2D {
    /// Returns a layer of `filters` filters of this size, without an activation.
    pub fn new(filters: usize, kernel_size: impl Into<Size2D>) -> Self {
        Self {
            filters,
            kernel_size: kernel_size.into(),
            strides: Size2D::one(),
            padding: Padding::Valid,
            dilation_rate: Size2D::one(),
            groups: 1,
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

    /// Returns the same layer with this number of groups.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Returns the same layer with or without a bias.
    pub fn use_bias(self, use_bias: bool) -> Self {
        Self { use_bias, ..self }
    }

    /// Returns the same layer with this activation.
    pub fn activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    fn window(&self) -> Window {
        Window {
            size: self.kernel_size,
            strides: self.strides,
            dilation: self.dilation_rate,
            padding: self.padding,
        }
    }

    /// Returns the windows over pictures of this height and width.
    pub(crate) fn window_places(&self, picture: [usize; 2]) -> WindowPlaces {
        self.window().places(picture)
    }

    fn convolution(&self, channels: usize) -> Convolution {
        let window = self.window();
        Convolution { channels, filters: self.filters, groups: self.groups, window }
    }
}

impl LayerKind for Conv2D {
    fn name(&self) -> &'static str {
        "Conv2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let channels = input.first().copied().unwrap_or(0);
        LayerError::unless(self.filters > 0, "Conv2D needs at least 1 filter", self.filters, "")?;
        let output = self.convolution(channels).output_shape("Conv2D", input)?;
        let (groups, filters) = (self.groups, self.filters);
        let divides = |number: usize| groups > 0 && number.is_multiple_of(groups);
        let holds = divides(channels) && divides(filters);
        let rule = format!("groups must divide {channels} channels and {filters} filters");
        LayerError::unless(holds, &rule, groups, "")?;
        Ok(output)
    }

    fn variables(&self, input: &[usize]) -> Vec<Variable> {
        let &[channels, ..] = input else { return Vec::new() };
        let own = self.convolution(channels);
        let mut variables = vec![Variable::parameter("weight", &own.weight(), own.initializer())];
        if self.use_bias {
            let zeros = Initializer::Constant(0.0);
            variables.push(Variable::parameter("bias", &[self.filters], zeros));
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
        let own = self.convolution(channels);
        let mut keras = format!("layers.Conv2D({}, {}", self.filters, self.kernel_size.python());
        keras.push_str(&own.keras());
        if self.groups != 1 {
            keras.push_str(&format!(", groups={}", self.groups));
        }
        keras.push_str(&convolution::keras_end(self.activation, self.use_bias));
        let convolution = Module {
            keras: Some(keras),
            keras_axes: KerasAxes::Last,
            ..own.module([height, width], self.use_bias)
        };
        Some(self.activation.after(convolution))
    }

    fn last_activation(&self) -> Activation {
        self.activation
    }
}
