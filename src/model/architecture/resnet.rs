//! resnet: residual blocks of two convolutions, in stages of halved height and width.

use super::build::{Build, Pictures, Sizes, averaged, conv3, normalized};
use crate::layers::{Activation, Layer, Residual};

pub(super) const BUILD: Build = Build {
    name: "resnet",
    sizes: &["width", "depth", "stages"],
    pictures: Some(Pictures { resolutions: "stages", remain: 7, begins_whole: true, layers }),
};

fn layers(sizes: &Sizes, stages: usize, activation: Activation) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    for (stage, channels) in sizes.channels(16, stages).into_iter().enumerate() {
        layers.push(conv3(channels).strides(if stage == 0 { 1 } else { 2 }).into());
        for _ in 0..sizes.depth.unwrap_or(2) {
            layers.push(block(channels, activation).into());
        }
    }
    layers.extend(averaged(activation));
    layers
}

fn block(channels: usize, activation: Activation) -> Residual {
    let half = || normalized(activation).into_iter().chain([conv3(channels).into()]);
    Residual { layers: half().chain(half()).collect() }
}
