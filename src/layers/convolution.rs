//! A convolution: what Conv2D, DepthwiseConv2D and SeparableConv2D compute, and how the formats write it.

use tch::{Kind, Tensor};

use super::activation::Activation;
use super::exported_module::{AtenArgument, AtenNode, Module, OnnxAttribute, OnnxInput, OnnxNode};
use super::initializer::Initializer;
use super::layer_kind::LayerError;
use super::window::{self, Padding, Window};
use crate::native::LibtorchError;

/// A convolution of pictures of `channels` channels, without its weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Convolution {
    pub channels: usize,
    pub filters: usize,
    pub groups: usize,
    pub window: Window,
}

/// PyTorch pads both sides alike.
const DEFINITION: &str = "class PaddedConv2d(nn.Conv2d):
    def __init__(self, *sizes, pad, **settings):
        super().__init__(*sizes, **settings)
        self.pad = pad

    def forward(self, x):
        return super().forward(nn.functional.pad(x, self.pad))
";

impl Convolution {
    /// Returns the shape of the output for an input of this shape, for the layer called `name`.
    pub fn output_shape(&self, name: &str, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (_, [height, width]) = self.window.over(name, input)?;
        let ([down, right], [dilated_down, dilated_right]) =
            (self.window.strides.0, self.window.dilation.0);
        let holds = down.max(right) == 1 || dilated_down.max(dilated_right) == 1;
        let rule = format!("{name} has either strides or a dilation_rate above 1");
        LayerError::unless(holds, &rule, "both", "")?;
        window::sized(name, [self.filters, height, width], "use fewer filters")
    }

    /// Returns the shape of the weights: [filters, channels / groups, height, width].
    pub fn weight(&self) -> [usize; 4] {
        let [height, width] = self.window.size.0;
        [self.filters, self.channels / self.groups.max(1), height, width]
    }

    /// Returns Keras's default for the weights.
    pub fn initializer(&self) -> Initializer {
        let [filters, inputs, height, width] = self.weight();
        let window = height * width;
        Initializer::GlorotUniformOf { fan_in: inputs * window, fan_out: filters * window }
    }

    /// Returns Keras's default for the weights of a convolution of each channel with its own filters.
    pub fn depthwise_initializer(&self, filters: usize) -> Initializer {
        let [_, _, height, width] = self.weight();
        let window = height * width;
        Initializer::GlorotUniformOf { fan_in: self.channels * window, fan_out: filters * window }
    }

    /// Returns the multiply-adds for a picture of this shape: all weights at each place of the output.
    pub fn multiply_adds(&self, input: &[usize]) -> usize {
        let &[_, height, width] = input else { return 0 };
        let counts = self.weight().into_iter().chain(self.window.output([height, width]));
        counts.fold(1usize, |product, count| product.saturating_mul(count))
    }

    /// Returns the height and width of the output.
    pub fn output(&self, picture: [usize; 2]) -> [usize; 2] {
        self.window.output(picture)
    }

    /// Computes the output of a batch.
    pub fn forward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        kind: Kind,
    ) -> Result<Tensor, LibtorchError> {
        let size = x.size();
        let [.., height, width] = size[..] else {
            return Err(LibtorchError::other("a convolution needs pictures"));
        };
        let pads = self.window.pads([height as usize, width as usize]);
        let padded = even(pads).is_none().then(|| x.f_constant_pad_nd(window::torch_order(pads)));
        let padded = padded.transpose()?;
        let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
        Ok(padded.as_ref().unwrap_or(x).f_conv2d(
            &weight.f_to_kind(kind)?,
            bias.as_ref(),
            self.window.strides.ints(),
            even(pads).unwrap_or_default(),
            self.window.dilation.ints(),
            self.groups as i64,
        )?)
    }

    /// Returns the module with everything but how Keras writes it, for pictures of this size.
    pub fn module(&self, picture: [usize; 2], use_bias: bool) -> Module {
        let (torch, definition) = self.torch(picture, use_bias);
        let names = ["weight", "bias"].map(str::to_owned);
        Module {
            torch,
            definition,
            script: self.script(picture, use_bias),
            onnx: Some(vec![self.onnx(picture, use_bias)]),
            aten: Some(self.aten(picture, use_bias)),
            variables: names[..1 + usize::from(use_bias)].to_vec(),
            ..Module::default()
        }
    }

    /// Returns PyTorch's module for pictures of this size, and the definition of its class if PyTorch has none.
    fn torch(&self, picture: [usize; 2], use_bias: bool) -> (String, Option<&'static str>) {
        let Self { channels, filters, .. } = *self;
        let mut call = format!("({channels}, {filters}, {}", self.window.size.python());
        let [[top, bottom], [left, right]] = self.window.pads(picture);
        let (class, definition) = match even([[top, bottom], [left, right]]) {
            Some([0, 0]) => ("nn.Conv2d", None),
            Some(_) => {
                let pads = window::Size2D([top, left]).python();
                call.push_str(&format!(", padding={pads}"));
                ("nn.Conv2d", None)
            }
            None => {
                call.push_str(&format!(", pad=({left}, {right}, {top}, {bottom})"));
                ("PaddedConv2d", Some(DEFINITION))
            }
        };
        let one = window::Size2D::one();
        for (name, size) in [("stride", self.window.strides), ("dilation", self.window.dilation)] {
            if size != one {
                call.push_str(&format!(", {name}={}", size.python()));
            }
        }
        if self.groups != 1 {
            call.push_str(&format!(", groups={}", self.groups));
        }
        call.push_str(if use_bias { ")" } else { ", bias=False)" });
        (format!("{class}{call}"), definition)
    }

    /// Returns TorchScript's expression.
    fn script(&self, picture: [usize; 2], use_bias: bool) -> String {
        let pads = self.window.pads(picture);
        let x = match even(pads) {
            Some(_) => "x".to_owned(),
            None => format!("torch.constant_pad_nd(x, {:?})", window::torch_order(pads)),
        };
        let bias = if use_bias { "{bias}" } else { "None" };
        let (strides, dilation) = (self.window.strides.0, self.window.dilation.0);
        let (padding, groups) = (even(pads).unwrap_or_default(), self.groups);
        format!(
            "torch.conv2d({x}, {{weight}}, {bias}, {strides:?}, {padding:?}, {dilation:?}, {groups})"
        )
    }

    /// Returns ONNX's node.
    fn onnx(&self, picture: [usize; 2], use_bias: bool) -> OnnxNode {
        let [weight, bias] = ["weight", "bias"].map(|name| OnnxInput::Variable(name.to_owned()));
        let inputs = [OnnxInput::Last, weight].into_iter().chain(use_bias.then_some(bias));
        let ints = |list: &[i64]| OnnxAttribute::Ints(list.to_vec());
        OnnxNode::new("Conv", inputs.collect::<Vec<_>>())
            .with("kernel_shape", ints(&self.window.size.ints()))
            .with("strides", ints(&self.window.strides.ints()))
            .with("pads", OnnxAttribute::Ints(window::onnx_order(self.window.pads(picture))))
            .with("dilations", ints(&self.window.dilation.ints()))
            .with("group", OnnxAttribute::Int(self.groups as i64))
    }

    /// Returns the calls of PyTorch's operators.
    fn aten(&self, [height, width]: [usize; 2], use_bias: bool) -> Vec<AtenNode> {
        let pads = self.window.pads([height, width]);
        let sizes = |list: &[i64]| AtenArgument::Sizes(list.to_vec());
        let mut nodes = Vec::new();
        if even(pads).is_none() {
            let [[top, bottom], [left, right]] = pads;
            let padded = [self.channels, height + top + bottom, width + left + right];
            nodes.extend(
                window::pad_module(window::torch_order(pads), padded).aten.into_iter().flatten(),
            );
        }
        let [weight, bias] = ["weight", "bias"].map(|name| AtenArgument::Variable(name.to_owned()));
        let convolution = [
            ("input", AtenArgument::Last),
            ("weight", weight),
            ("bias", if use_bias { bias } else { AtenArgument::None }),
            ("stride", sizes(&self.window.strides.ints())),
            ("padding", sizes(&even(pads).unwrap_or_default())),
            ("dilation", sizes(&self.window.dilation.ints())),
            ("groups", AtenArgument::Int(self.groups as i64)),
        ];
        let [rows, columns] = self.window.output([height, width]);
        let shape = [self.filters, rows, columns];
        nodes.push(AtenNode::new("conv2d.default", convolution).shaped(&shape));
        nodes
    }

    /// Returns the settings in Keras, each with a comma before it, without the sizes and the bias.
    pub fn keras(&self) -> String {
        let mut settings = String::new();
        let one = window::Size2D::one();
        for (name, size) in
            [("strides", self.window.strides), ("dilation_rate", self.window.dilation)]
        {
            if size != one {
                settings.push_str(&format!(", {name}={}", size.python()));
            }
        }
        if self.window.padding == Padding::Same {
            settings.push_str(", padding=\"same\"");
        }
        settings
    }
}

/// Returns the padding that PyTorch's own operators apply, if both sides are alike.
fn even([[top, bottom], [left, right]]: [[usize; 2]; 2]) -> Option<[i64; 2]> {
    (top == bottom && left == right).then_some([top as i64, left as i64])
}

/// Returns the end of a call in Keras: the activation and a missing bias.
pub(super) fn keras_end(activation: Activation, use_bias: bool) -> String {
    let activation = match activation {
        Activation::Linear => String::new(),
        other => format!(", activation={:?}", other.name()),
    };
    format!("{activation}{})", if use_bias { "" } else { ", use_bias=False" })
}
