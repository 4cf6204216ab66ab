//! ZeroPadding2D: zeros around pictures.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::{KerasAxes, Module, OnnxInput, OnnxNode};
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use super::window;
use crate::native::LibtorchError;

/// Adds rows and columns of zeros around pictures, [batch, channels, height, width]: Keras's `ZeroPadding2D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroPadding2D {
    /// The numbers of rows above and below, and of columns on the left and right: `[[1, 1], [2, 2]]`, `[1, 2]` for the
    /// same on both sides, or `1` for the same on all.
    #[serde(default)]
    pub padding: Sides,
}

/// The numbers of rows and columns on the four sides of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "[[usize; 2]; 2]")]
pub struct Sides(pub [[usize; 2]; 2]);

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "padding is a whole number, two of them, or two pairs: [[top, bottom], [left, right]]"
)]
enum Written {
    All(usize),
    Axes([usize; 2]),
    Sides([[usize; 2]; 2]),
}

impl From<Written> for Sides {
    fn from(written: Written) -> Self {
        match written {
            Written::All(all) => all.into(),
            Written::Axes(axes) => axes.into(),
            Written::Sides(sides) => sides.into(),
        }
    }
}

impl From<usize> for Sides {
    fn from(all: usize) -> Self {
        Self([[all; 2]; 2])
    }
}

impl From<[usize; 2]> for Sides {
    fn from(axes: [usize; 2]) -> Self {
        Self(axes.map(|size| [size; 2]))
    }
}

impl From<[[usize; 2]; 2]> for Sides {
    fn from(sides: [[usize; 2]; 2]) -> Self {
        Self(sides)
    }
}

impl From<Sides> for [[usize; 2]; 2] {
    fn from(sides: Sides) -> Self {
        sides.0
    }
}

impl Default for Sides {
    /// 1 on every side, as in Keras.
    fn default() -> Self {
        1.into()
    }
}

impl ZeroPadding2D {
    /// Returns a layer that adds this many rows and columns.
    pub fn new(padding: impl Into<Sides>) -> Self {
        Self { padding: padding.into() }
    }
}

impl LayerKind for ZeroPadding2D {
    fn name(&self) -> &'static str {
        "ZeroPadding2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        let [channels, height, width] = window::picture("ZeroPadding2D", input)?;
        let [vertical, horizontal] = self.padding.0;
        let padded = |size: usize, [before, after]: [usize; 2]| {
            size.saturating_add(before).saturating_add(after)
        };
        let shape = [channels, padded(height, vertical), padded(width, horizontal)];
        window::sized("ZeroPadding2D", shape, "pad less")
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        Ok(x.f_constant_pad_nd(window::torch_order(self.padding.0))?)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        let shape: [usize; 3] = self.output_shape(input).ok()?.try_into().ok()?;
        let [[top, bottom], [left, right]] = self.padding.0;
        let sides = [0, 0, top, left, 0, 0, bottom, right].map(|size| size as i64);
        let pad = OnnxNode::new("Pad", [OnnxInput::Last, OnnxInput::Sizes(sides.to_vec())]);
        let keras = format!("layers.ZeroPadding2D((({top}, {bottom}), ({left}, {right})))");
        Some(vec![Module {
            onnx: Some(vec![pad]),
            keras: Some(keras),
            keras_axes: KerasAxes::Last,
            ..window::pad_module(window::torch_order(self.padding.0), shape)
        }])
    }
}
