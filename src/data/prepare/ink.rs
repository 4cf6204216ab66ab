//! What is drawn, told from the paper.

use super::paper::{self, Paper};
use super::plane::{Plane, quantile};

/// How far ink stands out from the paper at least, in levels of 255.
const MIN_CONTRAST: f32 = 16.0;
/// The same, in standard deviations of the paper's noise.
const MIN_SIGMAS: f32 = 5.0;
/// What is surely ink, as a share of the stroke's contrast.
const SURE: f32 = 0.25;
/// What may be the edge of a stroke that is near.
const EDGE: f32 = 0.05;
/// Parts with less of the ink than this are dust.
const DUST: f32 = 0.015;
/// Below this side there is no room for smoothing, nor need.
const SMOOTH_FROM: usize = 56;

/// A picture without its paper: 0 where nothing is drawn, positive where something is.
pub(super) struct Ink {
    ink: Plane,
    /// The same without single noisy pixels.
    smooth: Plane,
    /// A stroke's usual value.
    contrast: f32,
    /// Standard deviation of the paper.
    noise: f32,
}

impl Ink {
    /// Tells ink from paper; `None` if there is no ink.
    pub fn of(picture: &Plane) -> Option<Self> {
        let mut ink = picture.clone();
        let border = paper::border(picture);
        let paper = Paper::fit(picture, &border);
        for (i, value) in ink.values.iter_mut().enumerate() {
            *value -= paper.at(picture, i);
        }
        let mut deviations: Vec<f32> = border.iter().map(|&i| ink.values[i].abs()).collect();
        deviations.sort_by(f32::total_cmp);
        // The median deviation of a normal distribution is 0.6745 standard deviations.
        let noise = quantile(&deviations, 0.5).unwrap_or(0.0) / 0.6745;
        let smooths = ink.height.min(ink.width) >= SMOOTH_FROM;
        let mut smooth = if smooths { ink.smoothed() } else { ink.clone() };
        let noise = if smooths { noise / 2.0 } else { noise };
        let threshold = MIN_CONTRAST.max(MIN_SIGMAS * noise);

        // Light on dark or dark on light: of which there is more beyond the paper's noise.
        let beyond = |sign: f32| -> f64 {
            smooth.values.iter().map(|&v| f64::from((sign * v - threshold).max(0.0))).sum()
        };
        if beyond(-1.0) > beyond(1.0) {
            [&mut ink, &mut smooth].into_iter().for_each(|plane| {
                plane.values.iter_mut().for_each(|value| *value = -*value);
            });
        }
        for plane in [&mut ink, &mut smooth] {
            plane.values.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let mut strokes: Vec<f32> =
            smooth.values.iter().copied().filter(|&value| value > threshold).collect();
        strokes.sort_by(f32::total_cmp);
        let contrast = quantile(&strokes, 0.9)?;
        Some(Self { ink, smooth, contrast, noise })
    }

    /// The drawn sign, cut out: dust, and the noise around the strokes, are gone.
    pub fn sign(self) -> Plane {
        let Self { ink, smooth, contrast, noise } = self;
        let (height, width) = (ink.height, ink.width);
        let parts = parts(&smooth, SURE * contrast);
        let masses: Vec<f32> =
            parts.iter().map(|part| part.iter().map(|&i| smooth.values[i]).sum()).collect();
        let least = DUST * masses.iter().sum::<f32>();
        let sure: Vec<usize> = parts
            .into_iter()
            .zip(masses)
            .filter(|&(_, mass)| mass >= least)
            .flat_map(|(part, _)| part)
            .collect();

        // Edges reach as far as one pixel of the result, which has about 20 across the sign.
        let extent = Extent::of(sure.iter().copied(), width);
        let reach = extent.longer_side().div_ceil(20);
        let near = dilated(&sure, height, width, reach);
        let edge = f32::max(EDGE * contrast, 3.0 * noise).min(SURE * contrast);
        // Smoothing spreads a sharp edge into the next pixel: the box is that of the strokes as
        // they are.
        let limits = sure.iter().copied().filter(|&i| ink.values[i] > SURE * contrast);
        let Extent { top, bottom, left, right } = Extent::of(limits, width);
        let values = (top..=bottom)
            .flat_map(|row| (left..=right).map(move |column| row * width + column))
            .map(|i| if near[i] && smooth.values[i] > edge { ink.values[i] } else { 0.0 })
            .collect();
        Plane { height: bottom + 1 - top, width: right + 1 - left, values }
    }
}

/// The connected parts (diagonals count) of what lies above `threshold`, as lists of positions.
fn parts(plane: &Plane, threshold: f32) -> Vec<Vec<usize>> {
    let &Plane { height, width, .. } = plane;
    let mut open: Vec<bool> = plane.values.iter().map(|&value| value > threshold).collect();
    let mut parts = Vec::new();
    for start in 0..open.len() {
        if !std::mem::take(&mut open[start]) {
            continue;
        }
        let (mut part, mut next) = (vec![start], 0);
        while let Some(&i) = part.get(next) {
            next += 1;
            let (row, column) = (i / width, i % width);
            for r in row.saturating_sub(1)..(row + 2).min(height) {
                for c in column.saturating_sub(1)..(column + 2).min(width) {
                    if std::mem::take(&mut open[r * width + c]) {
                        part.push(r * width + c);
                    }
                }
            }
        }
        parts.push(part);
    }
    parts
}

/// Which positions are at most `reach` rows and columns away from one of `positions`.
fn dilated(positions: &[usize], height: usize, width: usize, reach: usize) -> Vec<bool> {
    let mut near = vec![false; height * width];
    for &i in positions {
        let (row, column) = (i / width, i % width);
        let (from, to) = (column.saturating_sub(reach), (column + reach + 1).min(width));
        near[row * width + from..row * width + to].fill(true);
    }
    // Down the columns by the distance to the last row that had one, both ways.
    let rows = near.clone();
    for column in 0..width {
        for rows_in_order in [false, true] {
            let mut since = reach + 1;
            for step in 0..height {
                let row = if rows_in_order { step } else { height - 1 - step };
                since = if rows[row * width + column] { 0 } else { since.saturating_add(1) };
                near[row * width + column] |= since <= reach;
            }
        }
    }
    near
}

/// The rows and columns that positions take up, the last ones included.
struct Extent {
    top: usize,
    bottom: usize,
    left: usize,
    right: usize,
}

impl Extent {
    fn of(positions: impl IntoIterator<Item = usize>, width: usize) -> Self {
        let nothing = Extent { top: usize::MAX, bottom: 0, left: usize::MAX, right: 0 };
        let all = positions.into_iter().fold(nothing, |extent, i| Extent {
            top: extent.top.min(i / width),
            bottom: extent.bottom.max(i / width),
            left: extent.left.min(i % width),
            right: extent.right.max(i % width),
        });
        // Of no positions: a single pixel.
        Extent { top: all.top.min(all.bottom), left: all.left.min(all.right), ..all }
    }

    fn longer_side(&self) -> usize {
        (self.bottom - self.top).max(self.right - self.left) + 1
    }
}
