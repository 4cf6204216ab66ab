//! cnn: convolutions with pooling between them.

use super::build::{Build, Pictures, Sizes, conv3, normalized};
use crate::layers::{Activation, Flatten, Layer, MaxPooling2D};

pub(super) const BUILD: Build = Build {
    name: "cnn",
    sizes: &["width", "depth"],
    pictures: Some(Pictures { resolutions: "depth", remain: 3, begins_whole: false, layers }),
};

fn layers(sizes: &Sizes, depth: usize, activation: Activation) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    for filters in sizes.channels(32, depth) {
        layers.push(conv3(filters).into());
        layers.extend(normalized(activation));
        layers.push(MaxPooling2D::default().into());
    }
    layers.push(Flatten.into());
    layers
}
