//! The sizes and parts that the architectures have in common.

use crate::layers::{
    Activation, BatchNormalization, Conv2D, GlobalAveragePooling2D, Layer, Padding,
};

/// The sizes that a text named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub width: Option<usize>,
    pub depth: Option<usize>,
    pub stages: Option<usize>,
}

impl Sizes {
    /// Returns the size of this name, if it is one that was named.
    pub fn get(mut self, name: &str) -> Option<usize> {
        self.get_mut(name).copied().flatten()
    }

    /// Returns the size of this name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<usize>> {
        match name {
            "width" => Some(&mut self.width),
            "depth" => Some(&mut self.depth),
            "stages" => Some(&mut self.stages),
            _ => None,
        }
    }

    /// Returns the number of channels after each halving.
    pub fn channels(&self, usual: usize, count: usize) -> Vec<usize> {
        let first = self.width.unwrap_or(usual);
        let doubled = |width: &usize| Some(width.saturating_mul(2));
        std::iter::successors(Some(first), doubled).take(count).collect()
    }
}

/// An architecture.
#[derive(Debug)]
pub(super) struct Build {
    pub name: &'static str,
    /// The sizes that it has.
    pub sizes: &'static [&'static str],
    /// How a network for pictures is built; none for vectors.
    pub pictures: Option<Pictures>,
}

/// How the layers for pictures are built, up to the last Dense layer.
#[derive(Debug)]
pub(super) struct Pictures {
    /// The size that is the number of resolutions.
    pub resolutions: &'static str,
    /// Its default is the number of times that this many pixels remain, at least 1 and at most 5.
    pub remain: usize,
    /// Whether the first resolution is that of the picture, and not half of it.
    pub begins_whole: bool,
    pub layers: fn(&Sizes, usize, Activation) -> Vec<Layer>,
}

impl Pictures {
    /// Returns the number of resolutions for pictures whose shorter side has this many pixels.
    pub fn usual(&self, side: usize) -> usize {
        let first = usize::from(!self.begins_whole);
        let remains = |&halvings: &usize| side >> halvings >= self.remain;
        (first..first + 5).take_while(remains).count().max(1)
    }
}

/// Returns a 3x3 convolution that keeps the size of pictures. Batch normalization has the bias.
pub(super) fn conv3(filters: usize) -> Conv2D {
    Conv2D::new(filters, 3).padding(Padding::Same).use_bias(false)
}

/// Returns batch normalization and the activation.
pub(super) fn normalized(activation: Activation) -> [Layer; 2] {
    [
        BatchNormalization { momentum: 0.9, ..BatchNormalization::default() }.into(),
        activation.into(),
    ]
}

/// Returns the end of a network: normalized values, and their means over the picture.
pub(super) fn averaged(activation: Activation) -> impl Iterator<Item = Layer> {
    normalized(activation).into_iter().chain([GlobalAveragePooling2D.into()])
}
