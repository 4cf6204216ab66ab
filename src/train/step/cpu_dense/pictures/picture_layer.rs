//! The computation of a layer on pictures, one sample at a time.
//!
//! Pictures are [height, width, channels] here, with the channels rounded up to whole vectors; the channels that this
//! adds hold zeros.

use std::fmt::Debug;

use crate::layers::Layer;
use crate::native::aligned_memory::AlignedFloats;
use crate::native::convolution::{LANES, SparseGradients};

/// The size of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureShape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl PictureShape {
    /// Returns the number of channels with those that hold zeros.
    pub fn padded(&self) -> usize {
        self.channels.next_multiple_of(LANES)
    }

    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Returns the number of values, with the zeros.
    pub fn len(&self) -> usize {
        self.pixels() * self.padded()
    }
}

/// A parameter of a layer, as the network has it: some rows of values.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub rows: usize,
    /// The number of values from a row of its gradient, as the layer writes it, to the next.
    pub stride: usize,
    /// For each value of a row, the place of its gradient in such a row.
    pub places: Vec<u32>,
    /// The number of values of its gradient as the layer writes it.
    pub written: usize,
}

impl Parameter {
    /// Returns a parameter with a value for each channel.
    pub fn by_channel(channels: usize) -> Self {
        let (places, written) = ((0..channels as u32).collect(), channels.next_multiple_of(LANES));
        Self { rows: 1, stride: written, places, written }
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.rows * self.places.len()
    }
}

/// Buffers for the intermediate values of a sample, which a thread uses again for the next one.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The input with its padding, and the values of its windows.
    pub source: [AlignedFloats; 2],
    /// The gradients of these.
    pub source_gradient: [AlignedFloats; 2],
    /// A picture before it is pooled.
    pub pixels: AlignedFloats,
    pub sparse: SparseGradients,
}

/// The data of the whole batch that a layer reads.
#[derive(Clone, Copy, Default)]
pub struct Shared<'a> {
    /// Its parameters, as [`PictureLayer::pack`] has written them.
    pub packed: &'a [f32],
    /// Its [statistics](PictureLayer::statistics), combined over the batch.
    pub statistics: &'a [f32],
    /// Those of the gradient.
    pub gradient_statistics: &'a [f32],
}

/// A sample before the forward pass of a layer.
pub struct Forward<'a> {
    pub x: &'a [f32],
    /// At the end of a residual block its input; else nothing.
    pub other_end: &'a [f32],
    pub y: &'a mut [f32],
    pub kept: &'a mut [f32],
    /// The sample's random numbers.
    pub mask: &'a [f32],
    pub shared: Shared<'a>,
    pub scratch: &'a mut Scratch,
}

/// A sample before the backward pass of a layer.
pub struct Backward<'a> {
    pub x: &'a [f32],
    /// At the beginning of a residual block the gradient of its output; else nothing.
    pub other_end: &'a [f32],
    pub y: &'a [f32],
    pub kept: &'a [f32],
    pub mask: &'a [f32],
    pub shared: Shared<'a>,
    /// The gradient of the output, which may be overwritten.
    pub dy: &'a mut [f32],
    /// The gradient of the input, to be written; none if no layer before has parameters.
    pub dx: Option<&'a mut [f32]>,
    /// The sums of the gradients of the parameters, one after the other, to be added to.
    pub gradients: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

/// A layer that computes pictures one by one.
pub trait PictureLayer: Debug + Send + Sync {
    /// Returns the shape of the output.
    fn output(&self) -> PictureShape;

    /// Takes the layer after it over, if it can compute both at once.
    fn absorb(&mut self, next: &Layer) -> bool {
        let _ = next;
        false
    }

    /// Returns the parameters, in the network's order. By default none.
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// Returns the number of values of the buffers, such as running statistics.
    fn buffers(&self) -> usize {
        0
    }

    /// Returns the number of values that [`pack`](Self::pack) writes.
    fn packed(&self) -> usize {
        0
    }

    /// Writes the parameters in the order in which the passes read them.
    fn pack(&self, parameters: &[f32], packed: &mut [f32]) {
        let _ = (parameters, packed);
    }

    /// Returns the number of values of a sample that the backward pass reads beside input and output.
    fn kept(&self) -> usize {
        0
    }

    /// Returns the rate of the Dropout and the number of its random numbers for a sample.
    fn dropout(&self) -> Option<(f64, usize)> {
        None
    }

    /// Computes the output of a sample.
    fn forward(&self, sample: Forward);

    /// Computes the gradients of a sample.
    fn backward(&self, sample: Backward);

    /// Returns the number of values that the layer measures of each sample before either pass, where it needs those of
    /// the whole batch.
    fn statistics(&self) -> usize {
        0
    }

    /// Measures a sample's input.
    fn measure(&self, x: &[f32], statistics: &mut [f32]) {
        let _ = (x, statistics);
    }

    /// Combines the measurements of all samples, in their order, and updates the buffers.
    fn combine(&self, samples: &[f32], combined: &mut [f32], buffers: &mut [f32]) {
        let _ = (samples, combined, buffers);
    }

    /// Measures the gradient of a sample's output, and adds to those of the parameters. The input's is not computed.
    fn measure_gradient(&self, sample: Backward, statistics: &mut [f32]) {
        let _ = (sample, statistics);
    }

    /// Combines the measurements of all gradients.
    fn combine_gradient(&self, samples: &[f32], combined: &mut [f32]) {
        let _ = (samples, combined);
    }
}
