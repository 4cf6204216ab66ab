//! The layers on pictures of a network, and the layout of their parameters.

use std::ops::Range;

use super::super::dense_stack::Curve;
use super::block::BlockEnd;
use super::convolution::Convolution;
use super::depthwise::Depthwise;
use super::elementwise::{Interleave, PictureActivation, PictureDropout, PictureStandardization};
use super::normalization::PictureNormalization;
use super::picture_layer::{Parameter, PictureLayer, PictureShape};
use super::pooling::{AveragePooling, GlobalMaximum, MaxPooling, PoolWindows};
use super::zero_padding::PictureZeroPadding;
use crate::layers::{
    ActivationLayer, AveragePooling2D, BatchNormalization, Conv2D, DepthwiseConv2D, Dropout,
    GlobalAveragePooling2D, GlobalMaxPooling2D, Layer, MaxPooling2D, Normalization, Residual,
    SeparableConv2D, SpatialDropout2D, WindowPlaces, ZeroPadding2D,
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
    /// The layer with the input of the residual block that this layer ends.
    pub begins_at: Option<usize>,
    /// The layer that ends the residual block that this layer begins.
    pub ends_at: Option<usize>,
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
            || layer.is::<DepthwiseConv2D>()
            || layer.is::<SeparableConv2D>()
            || layer.is::<ZeroPadding2D>()
            || layer.is::<Residual>()
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
        let shape = self.output();
        let PictureShape { channels, height, width } = shape;
        let picture = [height, width];
        let windows = |places| PoolWindows::new(places, picture);
        if let Some(convolution) = layer.get::<Conv2D>() {
            self.convolve(index, convolution)?;
        } else if let Some(own) =
            layer.get::<DepthwiseConv2D>().filter(|own| own.depth_multiplier == 1)
        {
            let places = own.window_places(picture);
            self.push(index, Depthwise::new(places, shape, own.use_bias));
            self.activate(index, Curve::of(own.activation)?);
        } else if let Some(own) =
            layer.get::<SeparableConv2D>().filter(|own| own.depth_multiplier == 1)
        {
            self.push(index, Depthwise::new(own.window_places(picture), shape, false));
            let pointwise = Conv2D::new(own.filters, 1).use_bias(own.use_bias);
            self.convolve(index, &pointwise.activation(own.activation))?;
        } else if let Some(ZeroPadding2D { padding }) = layer.get() {
            self.push(index, PictureZeroPadding { input: shape, sides: padding.0 });
        } else if let Some(Residual { layers }) = layer.get() {
            self.add_block(index, layers)?;
        } else if let Some(ActivationLayer { activation }) = layer.get() {
            self.activate(index, Curve::of(*activation)?);
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

    fn convolve(&mut self, index: usize, layer: &Conv2D) -> Option<()> {
        let (shape, is_sample) = (self.output(), self.layers.is_empty());
        self.push(index, Convolution::new(layer, shape, is_sample, self.len() > 0)?);
        match Curve::of(layer.activation)? {
            // It computes relu itself.
            Curve::Relu => {}
            other => self.activate(index, other),
        }
        Some(())
    }

    /// Adds the layers of a residual block, if all are this engine's. The random numbers of a Dropout belong to a layer
    /// of the network, which one in a block is not.
    fn add_block(&mut self, index: usize, layers: &[Layer]) -> Option<()> {
        let is_random = |layer: &Layer| layer.is::<Dropout>() || layer.is::<SpatialDropout2D>();
        if layers.iter().any(is_random) {
            return None;
        }
        let (first, shape) = (self.layers.len(), self.output());
        self.push(index, BlockEnd { shape });
        for layer in layers {
            self.add(index, layer)?;
        }
        let last = self.layers.len();
        self.push(index, BlockEnd { shape });
        self.layers[first].ends_at = Some(last);
        self.layers[last].begins_at = Some(first);
        Some(())
    }

    /// Adds an activation that the layer before it does not compute itself.
    fn activate(&mut self, index: usize, activation: Curve) {
        if activation != Curve::Linear {
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
            begins_at: None,
            ends_at: None,
            parameters,
        });
    }
}
