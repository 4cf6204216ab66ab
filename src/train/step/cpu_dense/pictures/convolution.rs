//! A convolution of one picture, with the bias, relu and the maxima of a pooling layer after it.

use super::picture_layer::{Backward, Forward, Parameter, PictureLayer, PictureShape, Scratch};
use super::picture_loops;
use super::pooling::PoolWindows;
use crate::layers::{Activation, ActivationLayer, Conv2D, Layer, MaxPooling2D, WindowPlaces};
use crate::native::aligned_memory::AlignedFloats;
use crate::native::convolution::{
    LANES, MOST_DIRECT, Panels, Windows, add_gradient, add_maxima_gradient, add_sparse_gradient,
    correlate, panel_width, spread, spread_sparse,
};

/// The largest number of channels whose windows are copied into rows, as whole vectors of channels would mostly hold
/// zeros.
const FEW_CHANNELS: usize = 8;

/// A convolution, relu and a max-pooling layer, of which the last two may be missing.
#[derive(Debug)]
pub struct Convolution {
    input: PictureShape,
    /// Whether the input is [channels, height, width].
    is_sample: bool,
    filters: usize,
    use_bias: bool,
    places: WindowPlaces,
    relu: bool,
    pool: Option<PoolWindows>,
    /// The output before it is pooled, of which only as much is computed as pooling reads.
    grid: PictureShape,
    /// Whether the windows are copied into rows.
    is_copied: bool,
    /// The first value of the window of each pixel of the grid, in the padded picture.
    starts: Vec<u32>,
    /// The same in the rows that are copied.
    row_starts: Vec<u32>,
    /// The distance of each value of a window from its first, in the padded picture.
    offsets: Vec<usize>,
    /// Whether the gradient of the input is needed.
    passes_back: bool,
}

impl Convolution {
    /// Returns a convolution of pictures of [height, width, channels], or of samples as they are, [channels, height,
    /// width]. None for what it does not compute.
    pub fn new(
        layer: &Conv2D,
        input: PictureShape,
        is_sample: bool,
        passes_back: bool,
    ) -> Option<Self> {
        let PictureShape { channels, height, width } = input;
        let places = layer.window_places([height, width]);
        let is_copied = channels <= FEW_CHANNELS || places.dilation[1] > 1;
        if layer.groups != 1 || (is_sample && !is_copied) {
            return None;
        }
        let [rows, columns] = places.output;
        let mut this = Self {
            input,
            is_sample,
            filters: layer.filters,
            use_bias: layer.use_bias,
            places,
            relu: layer.activation == Activation::Relu,
            pool: None,
            grid: PictureShape { channels: layer.filters, height: rows, width: columns },
            is_copied,
            starts: Vec::new(),
            row_starts: Vec::new(),
            offsets: Vec::new(),
            passes_back,
        };
        this.set_starts()?;
        Some(this)
    }

    /// Returns the largest number of channels of samples that it takes as they are.
    pub fn takes_samples(layer: &Conv2D, channels: usize) -> bool {
        channels <= FEW_CHANNELS || layer.dilation_rate.0[1] > 1
    }

    fn set_starts(&mut self) -> Option<()> {
        let WindowPlaces { size, strides, dilation, .. } = self.places;
        let [by_channel, by_row, by_column] = self.distances();
        let width = self.grid.width;
        let start = |pixel: usize| {
            let (row, column) = (pixel / width, pixel % width);
            u32::try_from(row * strides[0] * by_row + column * strides[1] * by_column).ok()
        };
        let pixels = 0..self.grid.pixels();
        self.starts = pixels.clone().map(start).collect::<Option<_>>()?;
        if self.is_copied {
            let row = |pixel: usize| u32::try_from(pixel * self.window()).ok();
            self.row_starts = pixels.map(row).collect::<Option<_>>()?;
            let taps = (0..size[0] * size[1]).map(|tap| (tap / size[1], tap % size[1]));
            let channels = self.input.channels;
            let offsets = taps.flat_map(|(down, right)| {
                let first = down * dilation[0] * by_row + right * dilation[1] * by_column;
                (0..channels).map(move |channel| first + channel * by_channel)
            });
            self.offsets = offsets.collect();
        }
        Some(())
    }

    /// Returns the distances of the channels, rows and columns of the padded picture.
    fn distances(&self) -> [usize; 3] {
        let (height, width) = (self.padded_height(), self.padded_width());
        let padded = self.input.padded();
        match self.is_sample {
            true => [height * width, width, 1],
            false => [1, width * padded, padded],
        }
    }

    fn padded_width(&self) -> usize {
        self.input.width + self.places.pads[1].iter().sum::<usize>()
    }

    fn padded_height(&self) -> usize {
        self.input.height + self.places.pads[0].iter().sum::<usize>()
    }

    /// Returns the number of values of a window, in whole vectors.
    fn window(&self) -> usize {
        let [height, width] = self.places.size;
        (height * width * self.window_channels()).next_multiple_of(LANES)
    }

    /// Returns the number of values of a pixel in a window.
    fn window_channels(&self) -> usize {
        if self.is_copied { self.input.channels } else { self.input.padded() }
    }

    /// Returns the number of values of a window that may be other than zero.
    fn used(&self) -> usize {
        let [height, width] = self.places.size;
        height * width * self.window_channels()
    }

    fn windows(&self) -> Windows<'_> {
        let ([height, width], padded) = (self.places.size, self.input.padded());
        match self.is_copied {
            true => {
                let starts = &self.row_starts;
                Windows { starts, rows: 1, stride: 0, length: self.window() }
            }
            false => {
                let stride = self.places.dilation[0] * self.distances()[1];
                Windows { starts: &self.starts, rows: height, stride, length: width * padded }
            }
        }
    }

    fn is_padded(&self) -> bool {
        self.places.pads != [[0; 2]; 2]
    }

    /// Returns the number of values of the padded picture.
    fn padded_len(&self) -> usize {
        let channels = if self.is_sample { self.input.channels } else { self.input.padded() };
        self.padded_height() * self.padded_width() * channels
    }

    /// Returns the picture that the windows lie in.
    fn source<'a>(&self, x: &'a [f32], [padded, rows]: &'a mut [AlignedFloats; 2]) -> &'a [f32] {
        let x = match self.is_padded() {
            false => x,
            true => {
                padded.resize(self.padded_len());
                padded.fill(0.0);
                self.for_lines(|from, to, count| {
                    padded[to..to + count].copy_from_slice(&x[from..from + count]);
                });
                padded
            }
        };
        if !self.is_copied {
            return x;
        }
        rows.resize(self.grid.pixels() * self.window());
        picture_loops::copy_windows(rows, x, &self.starts, &self.offsets, self.window());
        rows
    }

    /// Computes the gradient of the source, and from it that of the input.
    fn back(
        &self,
        dx: &mut [f32],
        [padded, rows]: &mut [AlignedFloats; 2],
        compute: impl FnOnce(&mut [f32]),
    ) {
        dx.fill(0.0);
        let is_padded = self.is_padded();
        if is_padded {
            padded.resize(self.padded_len());
            padded.fill(0.0);
        }
        let place = if is_padded { &mut padded[..] } else { &mut *dx };
        if self.is_copied {
            rows.resize(self.grid.pixels() * self.window());
            rows.fill(0.0);
            compute(rows);
            picture_loops::add_windows(place, rows, &self.starts, &self.offsets, self.window());
        } else {
            compute(place);
        }
        if is_padded {
            self.for_lines(|to, from, count| {
                dx[to..to + count].copy_from_slice(&padded[from..from + count]);
            });
        }
    }

    /// Calls `each` for each line of values of the input: its first value there and in the padded picture, and their
    /// number.
    fn for_lines(&self, mut each: impl FnMut(usize, usize, usize)) {
        let ([top, left], width) =
            ([self.places.pads[0][0], self.places.pads[1][0]], self.input.width);
        let (pictures, padded) = match self.is_sample {
            true => (self.input.channels, 1),
            false => (1, self.input.padded()),
        };
        for picture in 0..pictures {
            for row in 0..self.input.height {
                let to = (picture * self.padded_height() + row + top) * self.padded_width() + left;
                let from = (picture * self.input.height + row) * width;
                each(from * padded, to * padded, width * padded);
            }
        }
    }

    /// Returns the sizes of what is packed: weights for the forward pass, bias, and weights for the backward pass.
    fn packed_sizes(&self) -> [usize; 3] {
        let filters = self.grid.padded();
        let back = if self.passes_back { filters * self.window() } else { 0 };
        [self.used() * filters, filters, back]
    }

    /// Returns the width of the panels of the weights for the backward pass.
    fn back_width(&self) -> usize {
        let channels = if self.is_copied { self.window() } else { self.input.padded() } / LANES;
        let most = panel_width() / LANES;
        let width = (1..=most).rev().find(|width| channels.is_multiple_of(*width)).unwrap_or(1);
        if self.pool.is_some() { self.window() } else { width * LANES }
    }
}

impl PictureLayer for Convolution {
    fn output(&self) -> PictureShape {
        match &self.pool {
            Some(pool) => pool.output(self.filters),
            None => self.grid,
        }
    }

    fn absorb(&mut self, next: &Layer) -> bool {
        if let Some(ActivationLayer { activation: Activation::Relu }) = next.get() {
            // The maximum of relu is relu of the maximum.
            self.relu = true;
            return true;
        }
        let (Some(pooling), None) = (next.get::<MaxPooling2D>(), &self.pool) else { return false };
        let picture = [self.grid.height, self.grid.width];
        let pool = PoolWindows::new(pooling.window_places(picture), picture).cropped();
        [self.grid.height, self.grid.width] = pool.covered();
        self.pool = Some(pool);
        self.set_starts().is_some()
    }

    fn parameters(&self) -> Vec<Parameter> {
        let ([height, width], channels) = (self.places.size, self.input.channels);
        // From PyTorch's [channels, height, width] to [height, width, channels].
        let taps = height * width;
        let places = (0..channels * taps)
            .map(|i| (i % taps * self.window_channels() + i / taps) as u32)
            .collect();
        let (rows, stride) = (self.filters, self.window());
        let written = self.grid.padded() * stride;
        let weight = Parameter { rows, stride, places, written };
        let bias = Parameter::by_channel(self.filters);
        if self.use_bias { vec![weight, bias] } else { vec![weight] }
    }

    fn packed(&self) -> usize {
        self.packed_sizes().iter().sum()
    }

    fn pack(&self, parameters: &[f32], packed: &mut [f32]) {
        let Some(weight) = self.parameters().into_iter().next() else { return };
        let ([forward, bias, _], filters) = (self.packed_sizes(), self.grid.padded());
        let (forward, rest) = packed.split_at_mut(forward);
        let (own_bias, back) = rest.split_at_mut(bias);
        let (weights, bias) = parameters.split_at(weight.len());
        own_bias[..bias.len()].copy_from_slice(bias);
        let (used, window) = (self.used(), self.window());
        let (forward_width, back_width) = (panel_width(), self.back_width());
        for (filter, row) in weights.chunks_exact(weight.places.len()).enumerate() {
            let first = filter / forward_width * forward_width;
            let width = forward_width.min(filters - first);
            for (&value, &place) in row.iter().zip(&weight.places) {
                let place = place as usize;
                forward[first * used + place * width + filter - first] = value;
                if !back.is_empty() {
                    let first = place / back_width * back_width;
                    let width = back_width.min(window - first);
                    back[first * filters + filter * width + place - first] = value;
                }
            }
        }
    }

    fn kept(&self) -> usize {
        self.pool.as_ref().map_or(0, |_| self.output().len())
    }

    fn forward(&self, sample: Forward) {
        let Forward { x, y, kept, shared, scratch, .. } = sample;
        let Scratch { source, pixels, .. } = scratch;
        let source = self.source(x, source);
        let windows = self.windows();
        let windows = match self.is_copied {
            true => Windows { length: self.used(), ..windows },
            false => windows,
        };
        let [forward, bias, _] = self.packed_sizes();
        let (data, rest) = shared.packed.split_at(forward);
        let columns = self.grid.padded();
        let weights = Panels { data, rows: self.used(), columns, width: panel_width() };
        match &self.pool {
            Some(pool) => {
                pixels.resize(self.grid.len());
                correlate(pixels, source, windows, weights, &rest[..bias]);
                pool.maxima(pixels, columns, y, kept, self.relu);
            }
            None => {
                correlate(y, source, windows, weights, &rest[..bias]);
                if self.relu {
                    picture_loops::relu(y);
                }
            }
        }
    }

    fn backward(&self, sample: Backward) {
        let Backward { x, y, kept, shared, dy, dx, gradients, scratch, .. } = sample;
        let Scratch { source, source_gradient, sparse, .. } = scratch;
        if self.relu {
            picture_loops::relu_gradient(dy, y);
        }
        let source = self.source(x, source);
        let (windows, filters) = (self.windows(), self.grid.padded());
        let (weight, bias) = gradients.split_at_mut(filters * self.window());
        if self.use_bias {
            picture_loops::add_rows(bias, dy);
        }
        let [forward, own_bias, _] = self.packed_sizes();
        let back = &shared.packed[forward + own_bias..];
        if self.pool.is_some() {
            let few = self.window() <= MOST_DIRECT * LANES;
            if dx.is_some() || !few {
                sparse.collect(dy, kept, windows.starts, filters);
            }
            match few {
                true => add_maxima_gradient(weight, source, windows, dy, kept),
                false => add_sparse_gradient(weight, source, windows, sparse),
            }
            if let Some(dx) = dx {
                self.back(dx, source_gradient, |place| spread_sparse(place, windows, sparse, back));
            }
            return;
        }
        add_gradient(weight, source, windows, dy);
        if let Some(dx) = dx {
            let (columns, width) = (self.window(), self.back_width());
            let weights = Panels { data: back, rows: filters, columns, width };
            self.back(dx, source_gradient, |place| spread(place, windows, dy, weights));
        }
    }
}
