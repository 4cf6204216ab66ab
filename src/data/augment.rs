//! Augmentation: small random deformations of training images, drawn again for every sample and
//! epoch.
//!
//! An affine map (rotation, scale, shear, shift) and an elastic deformation are joined into one map
//! from output to input pixels, and each image is sampled once, bilinearly, from u8 to f32. How a
//! sample is deformed depends on (seed, epoch, sample) alone: not on threads, batches or earlier
//! samples.
//!
//! The elastic part is that of Simard, Steinkraus and Platt, *Best Practices for Convolutional Neural
//! Networks Applied to Visual Document Analysis*, 2003: a random displacement of every pixel, smooth
//! over a few pixels. There it is noise smoothed by a Gaussian of σ = 4; here it is a cubic B-spline
//! over random control points 7 pixels apart (as in free-form deformation, Rueckert and others,
//! 1999), whose kernel has the same σ = 7/√3, for a fraction of the work.
//!
//! The operations of [RandAugment](randaugment) that move pixels are part of the affine map, too.

mod color_changes;
mod color_operations;
pub(crate) mod device;
mod device_mixing;
mod device_operations;
mod mixing;
mod randaugment;
mod settings;
mod spline;

use multiversion::multiversion;
use rand::RngExt;

use super::dataset::Dataset;
use super::error::DataError;
use super::picture_shape::PictureShape;
use super::pixel_scale::SCALE;
use crate::rng::{self, Purpose};
pub(crate) use color_changes::ColorDraw;
pub(crate) use mixing::Mix;
use randaugment::{OPERATIONS, Operation, compose};
pub use settings::Augment;
use spline::Spline;

/// Side of the images that lengths refer to.
const SIDE: f64 = 28.0;
/// Rows and columns of zeros around an image: positions outside are clamped to where all is zero.
const BEFORE: usize = 2;
const AFTER: usize = 3;

impl Augment {
    /// Returns the samples of `order` as a training run with this seed sees them in `epoch` (from 1): f32 in
    /// [0, 1], one image after the other, row by row, those in color plane by plane; mixed with others of `dataset`, as if
    /// there were no validation split. Fading is not applied.
    ///
    /// # Errors
    /// Samples that are not pictures, or a file of a streamed data set that cannot be read.
    pub fn images(
        &self,
        dataset: &Dataset,
        order: &[u32],
        seed: u64,
        epoch: usize,
    ) -> Result<Vec<f32>, DataError> {
        let shape = self.check_for(dataset)?;
        let lasting = Self { fade: 0.0, ..*self };
        let augmenter = Augmenter::new(lasting, seed, epoch, shape);
        let mut scratch = Scratch::default();
        let mut images = vec![0.0; order.len() * shape.values()];
        for (&sample, out) in order.iter().zip(images.chunks_exact_mut(shape.values())) {
            let image = dataset.read_image(sample as usize)?;
            augmenter.apply(&augmenter.draw(epoch, sample), &image, out, &mut scratch);
            if let Some(mix) = augmenter.mix(epoch, sample, dataset.len()) {
                let other = dataset.read_image(mix.partner as usize)?;
                augmenter.mix_in(epoch, &mix, &other, out, &mut scratch);
            }
        }
        Ok(images)
    }
}

/// Deforms images of one size; created once, used by every thread.
#[derive(Clone, Debug)]
pub(crate) struct Augmenter {
    augment: Augment,
    seed: u64,
    /// Epochs of the whole training run.
    epochs: usize,
    height: usize,
    width: usize,
    /// Whether images have three planes.
    color: bool,
    /// Whether borders are reflected, and not black.
    reflects: bool,
    rows: Spline,
    columns: Spline,
}

/// The random numbers of one image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draw {
    /// Input offset from the center = matrix × output offset + shift: [xx, xy, x, yx, yy, y].
    pub affine: [f32; 6],
    /// Displacements of the control points in pixels: all of x, then all of y, each row by row.
    pub control: Vec<f32>,
    /// What changes besides; its flip and shift are in the matrix, too.
    pub changes: ColorDraw,
    /// The operations of RandAugment; those that move pixels are in the matrix, too.
    pub operations: [Operation; OPERATIONS],
}

/// Buffers for one image at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// The image with a border of zeros.
    padded: Vec<f32>,
    /// The control points, spread along the rows: x and y for each control row and pixel column.
    spread: Vec<f32>,
    places: Places,
    /// A copy of a plane.
    plane: Vec<f32>,
    /// The image that is mixed with another.
    other: Vec<f32>,
}

/// Input positions of the output pixels, row by row.
#[derive(Clone, Debug, Default)]
struct Places {
    /// Input positions, from the corner of the border; later their fractional parts.
    x: Vec<f32>,
    y: Vec<f32>,
    /// The upper left of the four pixels around a position, as an index into the padded image.
    at: Vec<u32>,
    /// The four pixels: the upper two and the lower two.
    around: [Vec<[f32; 2]>; 2],
}

impl Places {
    fn resize(&mut self, pixels: usize) {
        self.x.resize(pixels, 0.0);
        self.y.resize(pixels, 0.0);
        self.at.resize(pixels, 0);
        self.around.iter_mut().for_each(|pairs| pairs.resize(pixels, [0.0; 2]));
    }
}

/// Maps a row of output to input positions: the start and the step along the row, and the weights of
/// the displacements of the nearest four control rows in it.
struct Row<'a> {
    starts: [f32; 2],
    steps: [f32; 2],
    /// For x and for y; empty without displacements.
    near: [[&'a [f32]; 4]; 2],
    weights: [f32; 4],
}

impl Augmenter {
    pub fn new(augment: Augment, seed: u64, epochs: usize, shape: impl Into<PictureShape>) -> Self {
        let PictureShape { color, height, width } = shape.into();
        let (rows, columns) = (Spline::new(height), Spline::new(width));
        let reflects = color || augment.crop > 0.0;
        Self { augment, seed, epochs, height, width, color, reflects, rows, columns }
    }

    /// Returns the strength that remains of the deformations in `epoch`, which is counted from 1.
    fn strength(&self, epoch: usize) -> f64 {
        let left = self.epochs.saturating_sub(epoch) as f64 / self.epochs.max(1) as f64;
        if left < self.augment.fade { left / self.augment.fade } else { 1.0 }
    }

    /// Returns the random numbers for a sample of the data set in an epoch.
    pub fn draw(&self, epoch: usize, sample: u32) -> Draw {
        let mut rng = rng::stream(self.seed, Purpose::Augment, &[epoch as u64, u64::from(sample)]);
        let Augment { rotation, scale, shift, shear, elastic, .. } = self.augment;
        let strength = self.strength(epoch);
        let pixel = self.height.max(self.width) as f64 / SIDE;
        let (shift, elastic) = (pixel * shift, pixel * elastic);
        let mut even = |most: f64| strength * most * rng.random_range(-1.0..=1.0);
        let (angle, size, shear) = (even(rotation).to_radians(), 1.0 + even(scale), even(shear));
        let (x, y) = (even(shift), even(shift));
        let (sin, cos) = angle.sin_cos();
        // Rotation × shear, and the inverse of the size: the map goes from output to input.
        let affine =
            [cos / size, (cos * shear - sin) / size, x, sin / size, (sin * shear + cos) / size, y];
        let changes = self.draw_changes(epoch, sample, strength);
        let affine = match changes.flip {
            true => [-affine[0], -affine[1], -x, affine[3], affine[4], y],
            false => affine,
        };
        let [right, down] = changes.shift.map(f64::from);
        let affine =
            [affine[0], affine[1], affine[2] + right, affine[3], affine[4], affine[5] + down];
        let operations = self.draw_operations(epoch, sample, strength);
        let size = [self.height, self.width];
        let moving = operations.iter().filter(|operation| operation.moves());
        let affine = moving.fold(affine, |affine, operation| compose(affine, operation.map(size)));
        // With unit variance, a control point contributes (151/315)² to the field's variance on average:
        // the mean of Σ Bᵢ² along each axis. A uniform draw of variance 1 extends to √3.
        let amplitude = (strength * 3.0f64.sqrt() * elastic * 315.0 / 151.0) as f32;
        let points = if elastic > 0.0 { 2 * self.rows.points * self.columns.points } else { 0 };
        let control = (0..points).map(|_| amplitude * (2.0 * rng.random::<f32>() - 1.0)).collect();
        Draw { affine: affine.map(|value| value as f32), control, changes, operations }
    }

    /// Draws from a separate stream, so that the numbers of the other one stay.
    fn draw_changes(&self, epoch: usize, sample: u32, strength: f64) -> ColorDraw {
        if !self.augment.changes_pictures() {
            return ColorDraw::default();
        }
        let position = [epoch as u64, u64::from(sample), 1];
        let mut rng = rng::stream(self.seed, Purpose::Augment, &position);
        ColorDraw::new(&self.augment, strength, [self.height, self.width], &mut rng)
    }

    /// Draws the operations of RandAugment, also from a separate stream.
    fn draw_operations(&self, epoch: usize, sample: u32, strength: f64) -> [Operation; OPERATIONS] {
        if self.augment.randaugment == 0.0 {
            return Default::default();
        }
        let position = [epoch as u64, u64::from(sample), 2];
        let mut rng = rng::stream(self.seed, Purpose::Augment, &position);
        Operation::draw(self.augment.randaugment, strength, &mut rng)
    }

    /// Returns whether samples are mixed with others.
    pub fn mixes(&self) -> bool {
        self.augment.mixes()
    }

    /// Returns what is mixed into a sample of `samples` in an epoch, drawn from a separate stream.
    pub fn mix(&self, epoch: usize, sample: u32, samples: usize) -> Option<Mix> {
        if !self.mixes() {
            return None;
        }
        let position = [epoch as u64, u64::from(sample), 3];
        let mut rng = rng::stream(self.seed, Purpose::Augment, &position);
        let (strength, size) = (self.strength(epoch), [self.height, self.width]);
        Mix::draw(&self.augment, strength, (sample, samples), size, &mut rng)
    }

    /// Returns the other sample's fraction of the loss.
    pub fn fraction(&self, mix: &Mix) -> f32 {
        mix.fraction([self.height, self.width])
    }

    /// Mixes `image`, that of the other sample, as it looks in this epoch into `out`.
    pub fn mix_in(
        &self,
        epoch: usize,
        mix: &Mix,
        image: &[u8],
        out: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let mut other = std::mem::take(&mut scratch.other);
        other.resize(out.len(), 0.0);
        self.apply(&self.draw(epoch, mix.partner), image, &mut other, scratch);
        mix.apply(out, &other, [self.height, self.width]);
        scratch.other = other;
    }

    /// Changes `image` into `out`, f32 in [0, 1]; both row by row, and in color plane by plane.
    pub fn apply(&self, draw: &Draw, image: &[u8], out: &mut [f32], scratch: &mut Scratch) {
        let (plane, width) = (self.height * self.width, self.width);
        let planes = image.chunks_exact(plane.max(1)).zip(out.chunks_exact_mut(plane.max(1)));
        if self.augment.deforms() || draw.operations.iter().any(|operation| operation.moves()) {
            self.deform(draw, planes, scratch);
        } else {
            planes
                .for_each(|(from, to)| color_changes::copy_shifted(&draw.changes, from, width, to));
        }
        let size = [self.height, self.width];
        for operation in draw.operations {
            operation.apply(out, size, &mut scratch.plane);
        }
        draw.changes.apply(out, size);
    }

    fn deform<'a>(
        &self,
        draw: &Draw,
        planes: impl Iterator<Item = (&'a [u8], &'a mut [f32])>,
        scratch: &mut Scratch,
    ) {
        let (height, width) = (self.height, self.width);
        let stride = width + BEFORE + AFTER;
        // The border is never written to.
        scratch.padded.resize(stride * (height + BEFORE + AFTER), 0.0);
        self.spread(draw, scratch);
        let [xx, xy, x0, yx, yy, y0] = draw.affine;
        let (middle_x, middle_y) = ((width - 1) as f32 / 2.0, (height - 1) as f32 / 2.0);
        let (most_x, most_y) = ((width + BEFORE) as f32, (height + BEFORE) as f32);
        let Scratch { padded, spread, places, .. } = scratch;
        places.resize(height * width);
        let lines = places.x.chunks_exact_mut(width).zip(places.y.chunks_exact_mut(width));
        for (row, (x, y)) in lines.enumerate() {
            let v = row as f32 - middle_y;
            let corner = BEFORE as f32;
            let start_x = xy * v + x0 + middle_x + corner;
            let start_y = yy * v + y0 + middle_y + corner;
            let (first, weights) = self.rows.taps[row];
            let near = |of: usize, tap: usize| match draw.control.is_empty() {
                true => &[][..],
                false => &spread[(of * self.rows.points + first + tap) * width..][..width],
            };
            let row = Row {
                starts: [start_x - xx * middle_x, start_y - yx * middle_x],
                steps: [xx, yx],
                near: [0, 1].map(|of| [0, 1, 2, 3].map(|tap| near(of, tap))),
                weights,
            };
            lead(x, y, &row);
        }
        if self.reflects {
            color_changes::reflect(&mut places.x, BEFORE as f32, width);
            color_changes::reflect(&mut places.y, BEFORE as f32, height);
        }
        place(places, [most_x, most_y], stride as u32);
        for (image, out) in planes {
            widen(&mut padded[BEFORE * stride + BEFORE..], stride, image, width);
            gather(places, padded, stride);
            blend(places, out);
        }
    }

    /// Interpolates the control points' displacements at every column, for each control row.
    fn spread(&self, draw: &Draw, scratch: &mut Scratch) {
        if draw.control.is_empty() {
            return;
        }
        let points = self.columns.points;
        scratch.spread.resize(draw.control.len() / points * self.width, 0.0);
        interpolate(&mut scratch.spread, &draw.control, points, &self.columns.taps);
    }
}

// The functions below are compiled for several kinds of processors and give the same bits on all of them:
// nothing is fused or reordered.

/// Converts rows of pixels to f32, with `stride` values from one row to the next.
#[multiversion(targets("x86_64+avx2"))]
fn widen(values: &mut [f32], stride: usize, pixels: &[u8], width: usize) {
    for (values, pixels) in values.chunks_mut(stride).zip(pixels.chunks_exact(width)) {
        values.iter_mut().zip(pixels).for_each(|(value, &pixel)| *value = f32::from(pixel));
    }
}

/// Computes the weighted sums of four numbers each, for all lines of `points` numbers.
#[multiversion(targets("x86_64+avx2"))]
fn interpolate(out: &mut [f32], lines: &[f32], points: usize, taps: &[(usize, [f32; 4])]) {
    for (out, line) in out.chunks_exact_mut(taps.len()).zip(lines.chunks_exact(points)) {
        for (out, (first, [wa, wb, wc, wd])) in out.iter_mut().zip(taps) {
            let near = &line[*first..first + 4];
            *out = (near[0] * wa + near[1] * wb) + (near[2] * wc + near[3] * wd);
        }
    }
}

/// Computes the input positions of a row of output: start, start + step, start + 2 step, … plus the
/// displacements of the control rows.
#[multiversion(targets("x86_64+avx2"))]
fn lead(x: &mut [f32], y: &mut [f32], row: &Row) {
    for ((values, near), (start, step)) in
        [x, y].into_iter().zip(row.near).zip(row.starts.into_iter().zip(row.steps))
    {
        for (i, value) in (0i32..).zip(&mut *values) {
            *value = step * i as f32 + start;
        }
        let [a, b, c, d] = near;
        let [wa, wb, wc, wd] = row.weights;
        for (value, (((a, b), c), d)) in values.iter_mut().zip(a.iter().zip(b).zip(c).zip(d)) {
            *value += (wa * a + wb * b) + (wc * c + wd * d);
        }
    }
}

/// Clamps positions to the border, and splits them into whole pixels and the fractional part.
#[multiversion(targets("x86_64+avx2"))]
fn place(Places { x, y, at, .. }: &mut Places, [most_x, most_y]: [f32; 2], stride: u32) {
    for ((x, y), at) in x.iter_mut().zip(y).zip(at) {
        let ((left, rest_x), (top, rest_y)) = (split(*x, most_x), split(*y, most_y));
        (*x, *y) = (rest_x, rest_y);
        *at = top * stride + left;
    }
}

/// Clamps a position to the border and splits it into a whole number and a fraction, from 0 to 1. A whole
/// position may be returned as the number before it and 1, which means the same.
#[inline(always)]
fn split(place: f32, most: f32) -> (u32, f32) {
    // From 2²³ on an f32 holds only whole numbers, in its lower bits. This is for positions below 2²², and
    // compiles to two additions, where a conversion would have to check for NaN and overflow.
    const WHOLE: f32 = 8_388_608.0;
    // Not `clamp`, which would have to check that the limits are in order. NaN becomes 0.5, too.
    let inside = place.max(0.5).min(most);
    let shifted = (inside - 0.5) + WHOLE;
    (shifted.to_bits() - WHOLE.to_bits(), inside - (shifted - WHOLE))
}

fn gather(Places { at, around, .. }: &mut Places, padded: &[f32], stride: usize) {
    let [above, below] = around;
    for ((at, above), below) in at.iter().zip(above).zip(below) {
        let at = *at as usize;
        let near = &padded[at..at + stride + 2];
        (*above, *below) = ([near[0], near[1]], [near[stride], near[stride + 1]]);
    }
}

/// Interpolates bilinearly and scales to [0, 1].
#[multiversion(targets("x86_64+avx2"))]
fn blend(Places { x, y, around: [above, below], .. }: &Places, out: &mut [f32]) {
    let places = x.iter().zip(y).zip(above.iter().zip(below));
    for (out, ((x, y), ([a, b], [c, d]))) in out.iter_mut().zip(places) {
        let above = a + x * (b - a);
        let below = c + x * (d - c);
        *out = (above + y * (below - above)) * const { 1.0 / SCALE as f32 };
    }
}

#[cfg(test)]
mod tests;
