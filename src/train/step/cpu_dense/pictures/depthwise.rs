//! A convolution of each channel of one picture on its own.

use super::picture_layer::{Backward, Forward, Parameter, PictureLayer, PictureShape};
use super::picture_loops::{self, Taps};
use crate::layers::WindowPlaces;

/// A convolution with one filter for each channel.
#[derive(Debug)]
pub struct Depthwise {
    output: PictureShape,
    use_bias: bool,
    /// The number of weights of a filter.
    weights: usize,
    taps: Taps,
}

impl Depthwise {
    /// Returns a convolution of pictures of this shape.
    pub fn new(places: WindowPlaces, input: PictureShape, use_bias: bool) -> Self {
        let WindowPlaces { size, strides, dilation, pads, output: [height, width] } = places;
        // The row or column that a weight takes, if it is not in the padding.
        let taken = |axis: usize, window: usize, weight: usize, end: usize| {
            let place = window * strides[axis] + weight * dilation[axis];
            place.checked_sub(pads[axis][0]).filter(|place| *place < end)
        };
        let mut taps = Taps::default();
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column)))
        {
            for (down, right) in
                (0..size[0]).flat_map(|down| (0..size[1]).map(move |right| (down, right)))
            {
                let place =
                    (taken(0, row, down, input.height), taken(1, column, right, input.width));
                if let (Some(row), Some(column)) = place {
                    taps.all.push((row * input.width + column, down * size[1] + right));
                }
            }
            taps.ends.push(taps.all.len());
        }
        let output = PictureShape { height, width, ..input };
        Self { output, use_bias, weights: size[0] * size[1], taps }
    }
}

impl PictureLayer for Depthwise {
    fn output(&self) -> PictureShape {
        self.output
    }

    fn parameters(&self) -> Vec<Parameter> {
        let PictureShape { channels, .. } = self.output;
        let padded = self.output.padded();
        // From PyTorch's [channels, height, width] to [height, width, channels].
        let places = (0..channels * self.weights)
            .map(|i| (i % self.weights * padded + i / self.weights) as u32)
            .collect();
        let written = self.weights * padded;
        let weight = Parameter { rows: 1, stride: written, places, written };
        let bias = self.use_bias.then(|| Parameter::by_channel(channels));
        std::iter::once(weight).chain(bias).collect()
    }

    /// The weights and the bias.
    fn packed(&self) -> usize {
        (self.weights + 1) * self.output.padded()
    }

    fn pack(&self, parameters: &[f32], packed: &mut [f32]) {
        let Some(weight) = self.parameters().into_iter().next() else { return };
        let (weights, bias) = parameters.split_at(weight.len());
        for (&value, place) in weights.iter().zip(weight.places) {
            packed[place as usize] = value;
        }
        packed[weight.written..][..bias.len()].copy_from_slice(bias);
    }

    fn forward(&self, sample: Forward) {
        let (weights, bias) = sample.shared.packed.split_at(self.weights * self.output.padded());
        picture_loops::multiply_taps(sample.y, sample.x, &self.taps, weights, bias);
    }

    fn backward(&self, sample: Backward) {
        let Backward { x, shared, dy, dx, gradients, .. } = sample;
        let (weights, bias) = gradients.split_at_mut(self.weights * self.output.padded());
        if self.use_bias {
            picture_loops::add_rows(bias, dy);
        }
        picture_loops::add_tap_products(weights, x, &self.taps, dy);
        if let Some(dx) = dx {
            dx.fill(0.0);
            picture_loops::spread_taps(dx, &self.taps, dy, shared.packed);
        }
    }
}
