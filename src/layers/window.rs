//! Windows that move over the height and width of pictures: what convolutions and pooling layers share.
//!
//! The samples of these layers are [channels, height, width], as in PyTorch. Keras's are [height, width, channels] by
//! default: its networks are written with a `Permute` before and after such layers.

use serde::{Deserialize, Serialize};

use super::exported_module::{AtenArgument, AtenNode, Module};
use super::layer_kind::LayerError;

/// The largest size, stride and dilation of a window, and the largest number of values of a sample.
const MOST: usize = 1 << 16;
const MOST_VALUES: usize = 1 << 32;

/// A height and a width. A single number stands for both, in files and in code: `3` is `[3, 3]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrTwo", into = "[usize; 2]")]
pub struct Size2D(pub [usize; 2]);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a size is a whole number, or two: [height, width]")]
enum OneOrTwo {
    One(usize),
    Two([usize; 2]),
}

impl From<OneOrTwo> for Size2D {
    fn from(sizes: OneOrTwo) -> Self {
        match sizes {
            OneOrTwo::One(size) => size.into(),
            OneOrTwo::Two(sizes) => sizes.into(),
        }
    }
}

impl From<usize> for Size2D {
    fn from(size: usize) -> Self {
        Self([size; 2])
    }
}

impl From<[usize; 2]> for Size2D {
    fn from(sizes: [usize; 2]) -> Self {
        Self(sizes)
    }
}

impl From<Size2D> for [usize; 2] {
    fn from(size: Size2D) -> Self {
        size.0
    }
}

impl Size2D {
    /// Returns 1 by 1, the default of strides and dilations.
    pub(super) fn one() -> Self {
        Self([1, 1])
    }

    /// Returns the sizes for libtorch and ONNX.
    pub(super) fn ints(self) -> [i64; 2] {
        self.0.map(|size| size as i64)
    }

    /// Returns it in Python: `3` or `(3, 2)`.
    pub(super) fn python(self) -> String {
        match self.0 {
            [height, width] if height == width => height.to_string(),
            [height, width] => format!("({height}, {width})"),
        }
    }
}

/// The padding of a convolution or a pooling layer, by Keras's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// None: the window stays inside the picture.
    #[default]
    Valid,
    /// As much as an output of ⌈size / stride⌉ needs, as TensorFlow pads: half of it before and half after, and the
    /// odd one after.
    Same,
}

impl Padding {
    /// Returns the padding that adds this to the sides of a picture, [[top, bottom], [left, right]], for a window of
    /// this size; none if both add something else.
    pub(crate) fn of(
        size: Size2D,
        strides: Size2D,
        dilation: Size2D,
        picture: [usize; 2],
        sides: [[usize; 2]; 2],
    ) -> Option<Self> {
        let settings = [size, strides, dilation].into_iter().flat_map(|setting| setting.0);
        if !settings.chain(picture).all(|size| (1..=MOST).contains(&size)) {
            return None;
        }
        let pads = |padding| Window { size, strides, dilation, padding }.pads(picture);
        [Self::Valid, Self::Same].into_iter().find(|&padding| pads(padding) == sides)
    }
}

/// The settings of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub size: Size2D,
    pub strides: Size2D,
    pub dilation: Size2D,
    pub padding: Padding,
}

/// The windows over pictures of one height and width, with everything that follows from these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowPlaces {
    pub size: [usize; 2],
    pub strides: [usize; 2],
    pub dilation: [usize; 2],
    /// [[top, bottom], [left, right]]
    pub pads: [[usize; 2]; 2],
    /// The height and width of the output.
    pub output: [usize; 2],
}

impl WindowPlaces {
    /// Returns a single window over a whole picture.
    pub fn whole(picture: [usize; 2]) -> Self {
        let (one, pads) = ([1; 2], [[0; 2]; 2]);
        Self { size: picture, strides: one, dilation: one, pads, output: one }
    }
}

impl Window {
    /// Returns the windows over a picture of this height and width.
    pub fn places(&self, picture: [usize; 2]) -> WindowPlaces {
        WindowPlaces {
            size: self.size.0,
            strides: self.strides.0,
            dilation: self.dilation.0,
            pads: self.pads(picture),
            output: self.output(picture),
        }
    }

    /// Returns the channels of a picture, and the height and width of the output, for the layer called `name`.
    pub fn over(&self, name: &str, input: &[usize]) -> Result<(usize, [usize; 2]), LayerError> {
        let [channels, height, width] = picture(name, input)?;
        let settings = [
            ("the window of", self.size),
            ("strides of", self.strides),
            ("dilation_rate of", self.dilation),
        ];
        for (what, size) in settings {
            let holds = size.0.iter().all(|size| (1..=MOST).contains(size));
            let rule = format!("{what} {name} must be from 1 to {MOST}");
            LayerError::unless(holds, &rule, format!("{:?}", size.0), "")?;
        }
        let extent = self.extent();
        let fits = self.padding == Padding::Same || extent[0] <= height && extent[1] <= width;
        let rule = format!("the window of {name} must fit into the picture");
        let found = format!("{} x {} for {height} x {width}", extent[0], extent[1]);
        let cure = "pad with \"same\", or pool less before it";
        LayerError::unless(fits, &rule, found, cure)?;
        Ok((channels, self.output([height, width])))
    }

    /// Returns the height and width that the window covers.
    fn extent(&self) -> [usize; 2] {
        let one = |size: usize, dilation: usize| (size - 1) * dilation + 1;
        let ([height, width], [down, right]) = (self.size.0, self.dilation.0);
        [one(height, down), one(width, right)]
    }

    /// Returns the height and width of the output for a picture of this height and width.
    pub fn output(&self, picture: [usize; 2]) -> [usize; 2] {
        let (extent, strides) = (self.extent(), self.strides.0);
        std::array::from_fn(|axis| match self.padding {
            Padding::Valid => (picture[axis] - extent[axis]) / strides[axis] + 1,
            Padding::Same => picture[axis].div_ceil(strides[axis]),
        })
    }

    /// Returns the padding of a picture of this height and width: [[top, bottom], [left, right]].
    pub fn pads(&self, picture: [usize; 2]) -> [[usize; 2]; 2] {
        if self.padding == Padding::Valid {
            return [[0, 0]; 2];
        }
        let (extent, strides, output) = (self.extent(), self.strides.0, self.output(picture));
        std::array::from_fn(|axis| {
            let needed = (output[axis] - 1) * strides[axis] + extent[axis];
            let total = needed.saturating_sub(picture[axis]);
            [total / 2, total - total / 2]
        })
    }
}

/// Returns the channels, height and width of samples that must be pictures, for the layer called `name`.
pub(super) fn picture(name: &str, input: &[usize]) -> Result<[usize; 3], LayerError> {
    match *input {
        [channels, height, width] => Ok([channels, height, width]),
        _ => Err(LayerError {
            rule: format!("{name} needs samples of [channels, height, width]"),
            found: format!("samples of shape {input:?}"),
            cure: match *input {
                [height, width] => {
                    format!("for gray pictures add Reshape to [1, {height}, {width}] before it")
                }
                _ => "add Reshape before it".to_owned(),
            },
        }),
    }
}

/// Checks the size of an output.
pub(super) fn sized(name: &str, shape: [usize; 3], cure: &str) -> Result<Vec<usize>, LayerError> {
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let rule = format!("the output of {name} may hold at most {MOST_VALUES} values");
    let holds = count.is_some_and(|count| count <= MOST_VALUES);
    LayerError::unless(holds, &rule, format!("shape {shape:?}"), cure)?;
    Ok(shape.to_vec())
}

/// Returns the padding in the order of PyTorch: left, right, top, bottom.
pub(super) fn torch_order([vertical, horizontal]: [[usize; 2]; 2]) -> [i64; 4] {
    [horizontal[0], horizontal[1], vertical[0], vertical[1]].map(|size| size as i64)
}

/// Returns the padding in the order of ONNX: top, left, bottom, right.
pub(super) fn onnx_order([vertical, horizontal]: [[usize; 2]; 2]) -> Vec<i64> {
    [vertical[0], horizontal[0], vertical[1], horizontal[1]].map(|size| size as i64).to_vec()
}

/// Returns the module that pads pictures with zeros, or cuts rows and columns off, up to an output of this shape. The
/// padding is in the order of PyTorch.
pub(super) fn pad_module(pads: [i64; 4], output: [usize; 3]) -> Module {
    let [left, right, top, bottom] = pads;
    let aten = AtenNode::new(
        "constant_pad_nd.default",
        [("self", AtenArgument::Last), ("pad", AtenArgument::Sizes(pads.to_vec()))],
    );
    Module {
        torch: format!("nn.ZeroPad2d(({left}, {right}, {top}, {bottom}))"),
        script: format!("torch.constant_pad_nd(x, {pads:?})"),
        aten: Some(vec![aten.shaped(&output)]),
        ..Module::default()
    }
}
