//! Windows that move over pictures: the settings of convolutions and pooling.

use super::pooling_function::PoolingFunction;
use crate::layers::{
    AveragePooling2D, Conv2D, Layer, MaxPooling2D, Padding, Size2D, ZeroPadding2D,
};

/// The attributes of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Windows {
    /// The size, if the node has it.
    pub size: Option<Size2D>,
    pub strides: Size2D,
    pub dilations: Size2D,
    pub pads: Pads,
}

/// The padding around a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pads {
    /// As much as TensorFlow adds for "same".
    Same,
    /// [[top, bottom], [left, right]]
    Sides([[usize; 2]; 2]),
}

impl Windows {
    /// Returns the convolution with weights of this shape of inputs of another, and the layer that pads before it, if
    /// its padding has no name.
    pub fn convolution(
        &self,
        weight: &[usize],
        groups: usize,
        use_bias: bool,
        input: &[usize],
    ) -> Result<(Option<Layer>, Layer), String> {
        let &[filters, _, height, width] = weight else {
            return Err("whose weights are not [filters, channels, height, width]".to_owned());
        };
        let size = Size2D([height, width]);
        let (before, padding) = self.padding(size, picture(input)?);
        let layer = Conv2D::new(filters, size).strides(self.strides).padding(padding);
        let layer = layer.dilation_rate(self.dilations).groups(groups).use_bias(use_bias);
        Ok((before.map(|sides| ZeroPadding2D::new(sides).into()), layer.into()))
    }

    /// Returns the pooling layer for inputs of this shape, and the layer that pads before it, if its padding has no name
    /// and counts.
    pub fn pooling(
        &self,
        function: PoolingFunction,
        counts_padding: bool,
        input: &[usize],
    ) -> Result<(Option<Layer>, Layer), String> {
        let size = self.size.ok_or("which has no kernel_shape")?;
        if self.dilations != Size2D([1, 1]) {
            return Err("whose dilations are not 1".to_owned());
        }
        let (before, padding) = self.padding(size, picture(input)?);
        let is_average = function == PoolingFunction::Average;
        match before {
            Some([vertical, horizontal]) if !(is_average && counts_padding) => {
                return Err(format!(
                    "which pads {vertical:?} rows and {horizontal:?} columns: \"valid\", or \"same\" as in \
                     TensorFlow, is read"
                ));
            }
            None if is_average && counts_padding && padding == Padding::Same => {
                return Err("whose padding counts".to_owned());
            }
            _ => {}
        }
        let layer = match is_average {
            true => AveragePooling2D::new(size).strides(self.strides).padding(padding).into(),
            false => MaxPooling2D::new(size).strides(self.strides).padding(padding).into(),
        };
        Ok((before.map(|sides| ZeroPadding2D::new(sides).into()), layer))
    }

    /// Returns the padding by Keras's name for a window of this size on a picture of this height and width; the sides
    /// that have to be padded before, if it has none.
    fn padding(&self, size: Size2D, picture: [usize; 2]) -> (Option<[[usize; 2]; 2]>, Padding) {
        match self.pads {
            Pads::Same => (None, Padding::Same),
            Pads::Sides(sides) => {
                match Padding::of(size, self.strides, self.dilations, picture, sides) {
                    Some(padding) => (None, padding),
                    None => (Some(sides), Padding::Valid),
                }
            }
        }
    }
}

/// Returns the height and width of pictures of this shape.
fn picture(shape: &[usize]) -> Result<[usize; 2], String> {
    match *shape {
        [_, height, width] => Ok([height, width]),
        _ => Err(format!("which takes [channels, height, width], found {shape:?}")),
    }
}
