//! mobile: inverted residual blocks of depthwise convolutions, in stages of halved height and width.

use super::build::{Build, Pictures, Sizes, averaged, conv3, normalized};
use crate::layers::{Activation, Conv2D, DepthwiseConv2D, Layer, Padding, Residual};

pub(super) const BUILD: Build = Build {
    name: "mobile",
    sizes: &["width", "depth", "stages"],
    pictures: Some(Pictures { resolutions: "stages", remain: 7, begins_whole: true, layers }),
};

/// The channels of the depthwise convolution, as a multiple of those around it.
const EXPANSION: usize = 4;

fn layers(sizes: &Sizes, stages: usize, activation: Activation) -> Vec<Layer> {
    let widths = sizes.channels(16, stages);
    let mut before = widths.first().copied().unwrap_or(1);
    let mut layers: Vec<Layer> = vec![conv3(before).into()];
    for (stage, &channels) in widths.iter().enumerate() {
        if stage > 0 {
            layers.extend(inverted(before, channels, 2, activation));
        }
        for _ in 0..sizes.depth.unwrap_or(2) {
            let block = inverted(channels, channels, 1, activation).collect();
            layers.push(Residual { layers: block }.into());
        }
        before = channels;
    }
    layers.extend(averaged(activation));
    layers
}

/// Returns the layers from `before` channels to `after`.
fn inverted(
    before: usize,
    after: usize,
    strides: usize,
    activation: Activation,
) -> impl Iterator<Item = Layer> {
    let point = |filters| Conv2D::new(filters, 1).use_bias(false);
    let depthwise = DepthwiseConv2D::new(3).strides(strides).padding(Padding::Same).use_bias(false);
    let normalized = || normalized(activation).into_iter();
    normalized()
        .chain([point(before.saturating_mul(EXPANSION)).into()])
        .chain(normalized())
        .chain([depthwise.into()])
        .chain(normalized())
        .chain([point(after).into()])
}
