//! The layers on pictures of a network, and the layout of their parameters.

use std::ops::Range;

use super::super::dense_stack::Curve;
use super::convolution::Convolution;
use super::elementwise::{Interleave, PictureActivation, PictureDropout, PictureStandardization};
use super::normalization::PictureNormalization;
use super::picture_layer::{Parameter, PictureLayer, PictureShape};
use super::pooling::{AveragePooling, GlobalMaximum, MaxPooling, PoolWindows};
use crate::layers::{
    ActivationLayer, AveragePooling2D, BatchNormalization, Conv2D, Dropout, GlobalAveragePooling2D,
    GlobalMaxPooling2D, Layer, MaxPooling2D, Normalization, SpatialDropout2D, WindowPlaces,
};

/// The layers on pictures, which come before the Dense layers.
#[derive(Debug)]
pub struct PictureStack {
    /// The shape of the samples, [channels, height, width].
    pub input: PictureShape,
    pub layers: Vec<PlacedLayer>,
}

/// A layer, and where its values are among those of all.
#[derive(Debug)]
pub struct PlacedLayer {
    pub layer: Box<dyn PictureLayer>,
    /// The index of the layer of the network that it begins with.
    pub index: usize,
    pub parameters: Vec<Parameter>,
    /// Whether a layer before it has parameters.
    pub passes_back: bool,
    /// The places of the parameters, in the network's order.
    pub own: Range<usize>,
    pub buffers: Range<usize>,
    pub packed: Range<usize>,
    /// The places of the gradients as the layer writes them.
    pub gradients: Range<usize>,
}

impl PictureStack {
    pub fn new(input: [usize; 3]) -> Self {
        let [channels, height, width] = input;
        Self { input: PictureShape { channels, height, width }, layers: Vec::new() }
    }

    /// Returns whether a network's layers on pictures may begin with this one.
    pub fn begins_with(layer: &Layer) -> bool {
        layer.is::<Conv2D>()
            || layer.is::<MaxPooling2D>()
            || layer.is::<AveragePooling2D>()
            || layer.is::<GlobalAveragePooling2D>()
            || layer.is::<GlobalMaxPooling2D>()
            || layer.is::<SpatialDropout2D>()
            || layer.is::<BatchNormalization>()
            || layer.get::<Normalization>().is_some_and(|own| own.channels)
    }

    /// Returns the shape of the last layer's output.
    pub fn output(&self) -> PictureShape {
        self.layers.last().map_or(self.input, |last| last.layer.output())
    }

    /// Returns the number of values of a sample.
    pub fn inputs(&self) -> usize {
        self.input.channels * self.input.pixels()
    }

    /// Returns the number of values that the Dense layers get.
    pub fn features(&self) -> usize {
        self.output().channels * self.output().pixels()
    }

    /// Returns the number of parameters.
    pub fn len(&self) -> usize {
        self.layers.last().map_or(0, |last| last.own.end)
    }

    pub fn buffers(&self) -> usize {
        self.layers.last().map_or(0, |last| last.buffers.end)
    }

    pub fn packed(&self) -> usize {
        self.layers.last().map_or(0, |last| last.packed.end)
    }

    pub fn gradients(&self) -> usize {
        self.layers.last().map_or(0, |last| last.gradients.end)
    }

    /// Adds the network's layer of this index, if it is one of this engine's.
    pub fn add(&mut self, index: usize, layer: &Layer) -> Option<()> {
        if self.layers.last_mut().is_some_and(|last| last.layer.absorb(layer)) {
            return Some(());
        }
        if self.layers.is_empty() && !Self::takes_samples(layer, self.input.channels) {
            self.push(index, Interleave { shape: self.input });
        }
        let (shape, passes_back) = (self.output(), self.len() > 0);
        let PictureShape { channels, height, width } = shape;
        let picture = [height, width];
        let windows = |places| PoolWindows::new(places, picture);
        if let Some(convolution) = layer.get::<Conv2D>() {
            let (is_sample, activation) = (self.layers.is_empty(), convolution.activation);
            let own = Convolution::new(convolution, shape, is_sample, passes_back)?;
            self.push(index, own);
            self.activate(index, Curve::of(activation)?);
        } else if let Some(ActivationLayer { activation }) = layer.get() {
            let activation = Curve::of(*activation)?;
            match activation {
                Curve::Relu => self.push(index, PictureActivation { shape, activation }),
                other => self.activate(index, other),
            }
        } else if let Some(pooling) = layer.get::<MaxPooling2D>() {
            let windows = windows(pooling.window_places(picture));
            self.push(index, MaxPooling { channels, windows });
        } else if let Some(pooling) = layer.get::<AveragePooling2D>() {
            let windows = windows(pooling.window_places(picture));
            self.push(index, AveragePooling { channels, windows });
        } else if layer.is::<GlobalMaxPooling2D>() {
            self.push(index, GlobalMaximum { shape });
        } else if layer.is::<GlobalAveragePooling2D>() {
            let windows = windows(WindowPlaces::whole(picture));
            self.push(index, AveragePooling { channels, windows });
        } else if let Some(&settings) = layer.get::<BatchNormalization>() {
            self.push(index, PictureNormalization { shape, settings, relu: false });
        } else if let Some(own) = layer.get::<Normalization>().filter(|own| own.channels) {
            self.push(index, PictureStandardization::new(shape, &own.mean, &own.deviations()));
        } else if let Some(&Dropout { rate }) = layer.get::<Dropout>() {
            self.drop_out(index, PictureDropout { shape, rate, is_spatial: false });
        } else {
            let &SpatialDropout2D { rate } = layer.get()?;
            self.drop_out(index, PictureDropout { shape, rate, is_spatial: true });
        }
        Some(())
    }

    /// Returns whether a first layer takes [channels, height, width].
    fn takes_samples(layer: &Layer, channels: usize) -> bool {
        layer.get::<Conv2D>().is_some_and(|own| Convolution::takes_samples(own, channels))
    }

    /// Adds an activation that the layer before it does not compute itself.
    fn activate(&mut self, index: usize, activation: Curve) {
        if !matches!(activation, Curve::Linear | Curve::Relu) {
            let shape = self.output();
            self.push(index, PictureActivation { shape, activation });
        }
    }

    fn drop_out(&mut self, index: usize, dropout: PictureDropout) {
        if dropout.rate > 0.0 {
            self.push(index, dropout);
        }
    }

    fn push(&mut self, index: usize, layer: impl PictureLayer + 'static) {
        let parameters = layer.parameters();
        let after = |start: usize, count: usize| start..start + count;
        let written = parameters.iter().map(|parameter| parameter.written).sum();
        self.layers.push(PlacedLayer {
            own: after(self.len(), parameters.iter().map(Parameter::len).sum()),
            buffers: after(self.buffers(), layer.buffers()),
            packed: after(self.packed(), layer.packed()),
            gradients: after(self.gradients(), written),
            passes_back: self.len() > 0,
            layer: Box::new(layer),
            index,
            parameters,
        });
    }
}
