//! MaxPooling2D: the largest value in each window of a picture.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::exported_module::Module;
use super::layer_kind::{Context, LayerError, LayerKind, Variables};
use super::pooling::{Function, Pooling};
use super::window::{Padding, Size2D, WindowPlaces};
use crate::native::LibtorchError;

/// Takes the largest value in each window, [batch, channels, height, width] → [batch, channels, …]: Keras's
/// `MaxPooling2D`. Padding never is the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaxPooling2D {
    /// The height and width of the window: 2 by default.
    pub pool_size: Size2D,
    /// The steps by which it moves down and right: by default its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strides: Option<Size2D>,
    /// The padding around the picture.
    pub padding: Padding,
}

impl Default for MaxPooling2D {
    fn default() -> Self {
        Self { pool_size: Size2D([2, 2]), strides: None, padding: Padding::Valid }
    }
}

impl MaxPooling2D {
    /// Returns a layer whose windows have this size and do not overlap.
    pub fn new(pool_size: impl Into<Size2D>) -> Self {
        Self { pool_size: pool_size.into(), ..Self::default() }
    }

    /// Returns the same layer with these strides.
    pub fn strides(self, strides: impl Into<Size2D>) -> Self {
        Self { strides: Some(strides.into()), ..self }
    }

    /// Returns the same layer with this padding.
    pub fn padding(self, padding: Padding) -> Self {
        Self { padding, ..self }
    }

    /// Returns the windows over pictures of this height and width.
    pub(crate) fn window_places(&self, picture: [usize; 2]) -> WindowPlaces {
        self.pooling().window.places(picture)
    }

    fn pooling(&self) -> Pooling {
        let Self { pool_size, strides, padding } = *self;
        Pooling::new("MaxPooling2D", Function::Max, pool_size, strides, padding)
    }
}

impl LayerKind for MaxPooling2D {
    fn name(&self) -> &'static str {
        "MaxPooling2D"
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>, LayerError> {
        self.pooling().output_shape(input)
    }

    fn forward(
        &self,
        x: &Tensor,
        _: &Variables<'_>,
        _: &Context<'_>,
    ) -> Result<Tensor, LibtorchError> {
        self.pooling().forward(x)
    }

    fn describe(&self, input: &[usize]) -> Option<Vec<Module>> {
        self.pooling().describe(input)
    }
}
