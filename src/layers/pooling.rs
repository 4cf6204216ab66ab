//! Pooling of pictures by windows: what MaxPooling2D and AveragePooling2D share.

use tch::Tensor;

use super::exported_module::{
    AtenArgument, AtenNode, KerasAxes, Module, OnnxAttribute, OnnxInput, OnnxNode,
};
use super::layer_kind::LayerError;
use super::window::{self, Padding, Size2D, Window};
use crate::native::LibtorchError;

/// The function of the values in a window: mean or maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Max,
    Average,
}

/// A pooling layer of Keras's class `name`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pooling {
    pub name: &'static str,
    pub function: Function,
    pub window: Window,
}

/// The settings with which libtorch's operators, whose padding is alike on both sides, do the same.
struct Settings {
    padding: [i64; 2],
    /// Whether a last window may reach beyond the padding.
    ceil: bool,
    /// What of the output is cut off at the top and on the left.
    cut: [i64; 2],
}

impl Pooling {
    /// Returns the layer with these settings of Keras; the strides are by default the size.
    pub fn new(
        name: &'static str,
        function: Function,
        size: Size2D,
        strides: Option<Size2D>,
        padding: Padding,
    ) -> Self {
        let strides = strides.unwrap_or(size);
        Self { name, function, window: Window { size, strides, dilation: Size2D::one(), padding } }
    }

    pub fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let (channels, [height, width]) = self.window.over(self.name, input)?;
        Ok(vec![channels, height, width])
    }

    fn settings(&self, picture: [usize; 2]) -> Settings {
        let (pads, strides) = (self.window.pads(picture), self.window.strides.0);
        let odd = |axis: usize| pads[axis][1] > pads[axis][0];
        // Windows that move by 1 need the odd row before the picture, and an output less.
        let cut = std::array::from_fn(|axis| i64::from(odd(axis) && strides[axis] == 1));
        Settings {
            padding: std::array::from_fn(|axis| pads[axis][0] as i64 + cut[axis]),
            ceil: (0..2).any(|axis| odd(axis) && strides[axis] > 1),
            cut,
        }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor, LibtorchError> {
        let size = x.size();
        let [.., height, width] = size[..] else {
            return Err(LibtorchError::other("a pooling layer needs pictures"));
        };
        let Settings { padding, ceil, cut } = self.settings([height as usize, width as usize]);
        let (size, strides) = (self.window.size.ints(), self.window.strides.ints());
        let y = match self.function {
            Function::Max => x.f_max_pool2d(size, strides, padding, [1, 1], ceil)?,
            Function::Average => {
                x.f_avg_pool2d(size, strides, padding, ceil, false, None::<i64>)?
            }
        };
        Ok(if cut == [0, 0] { y } else { y.f_constant_pad_nd(cut_pads(cut))? })
    }

    pub fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let &[channels, height, width] = input else { return None };
        let settings = self.settings([height, width]);
        let [rows, columns] = self.window.output([height, width]);
        let [above, left] = settings.cut.map(|cut| cut as usize);
        let pooling = Module {
            torch: self.torch(&settings),
            script: self.script(&settings),
            onnx: Some(vec![self.onnx([height, width])]),
            aten: Some(vec![self.aten(&settings).shaped(&[
                channels,
                rows + above,
                columns + left,
            ])]),
            keras: Some(self.keras()),
            keras_axes: KerasAxes::Last,
            ..Module::default()
        };
        let mut modules = vec![pooling];
        if settings.cut != [0, 0] {
            let cut = window::pad_module(cut_pads(settings.cut), [channels, rows, columns]);
            modules.push(Module { onnx: Some(Vec::new()), keras: Some(String::new()), ..cut });
        }
        Some(modules)
    }

    fn torch(&self, settings: &Settings) -> String {
        let Window { size, strides, .. } = self.window;
        let (class, end) = match self.function {
            Function::Max => ("MaxPool2d", ""),
            Function::Average => ("AvgPool2d", ", count_include_pad=False"),
        };
        let mut call = format!("nn.{class}({}", size.python());
        if strides != size {
            call.push_str(&format!(", stride={}", strides.python()));
        }
        if settings.padding != [0, 0] {
            let padding = Size2D(settings.padding.map(|size| size as usize));
            call.push_str(&format!(", padding={}", padding.python()));
        }
        if settings.ceil {
            call.push_str(", ceil_mode=True");
        }
        let is_padded = settings.padding != [0, 0] || settings.ceil;
        format!("{call}{})", if is_padded { end } else { "" })
    }

    fn script(&self, Settings { padding, ceil, .. }: &Settings) -> String {
        let (size, strides) = (self.window.size.0, self.window.strides.0);
        let ceil = if *ceil { "True" } else { "False" };
        match self.function {
            Function::Max => {
                format!("torch.max_pool2d(x, {size:?}, {strides:?}, {padding:?}, [1, 1], {ceil})")
            }
            Function::Average => {
                format!("torch.avg_pool2d(x, {size:?}, {strides:?}, {padding:?}, {ceil}, False)")
            }
        }
    }

    fn onnx(&self, picture: [usize; 2]) -> OnnxNode {
        let ints = |list: &[i64]| OnnxAttribute::Ints(list.to_vec());
        let operator = match self.function {
            Function::Max => "MaxPool",
            Function::Average => "AveragePool",
        };
        OnnxNode::new(operator, [OnnxInput::Last])
            .with("kernel_shape", ints(&self.window.size.ints()))
            .with("strides", ints(&self.window.strides.ints()))
            .with("pads", OnnxAttribute::Ints(window::onnx_order(self.window.pads(picture))))
    }

    fn aten(&self, settings: &Settings) -> AtenNode {
        let sizes = |list: [i64; 2]| AtenArgument::Sizes(list.to_vec());
        let shared = [
            ("self", AtenArgument::Last),
            ("kernel_size", sizes(self.window.size.ints())),
            ("stride", sizes(self.window.strides.ints())),
            ("padding", sizes(settings.padding)),
        ];
        let ceil = ("ceil_mode", AtenArgument::Bool(settings.ceil));
        let (operator, own) = match self.function {
            Function::Max => ("max_pool2d.default", [("dilation", sizes([1, 1])), ceil]),
            Function::Average => {
                let counted = ("count_include_pad", AtenArgument::Bool(false));
                ("avg_pool2d.default", [ceil, counted])
            }
        };
        AtenNode::new(operator, shared.into_iter().chain(own).collect::<Vec<_>>())
    }

    fn keras(&self) -> String {
        let Window { size, strides, padding, .. } = self.window;
        let mut call = format!("layers.{}({}", self.name, size.python());
        if strides != size {
            call.push_str(&format!(", strides={}", strides.python()));
        }
        call.push_str(if padding == Padding::Same { ", padding=\"same\")" } else { ")" });
        call
    }
}

/// Returns the padding that cuts rows off at the top and columns on the left, in the order of PyTorch.
fn cut_pads([above, left]: [i64; 2]) -> [i64; 4] {
    [-left, 0, -above, 0]
}
