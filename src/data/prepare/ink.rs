//! What is drawn, told from the paper.

use super::plane::{Plane, quantile};

/// How far ink stands out from the paper at least, in levels of 255.
const MIN_CONTRAST: f32 = 16.0;
/// The same, in standard deviations of the paper's noise.
const MIN_SIGMAS: f32 = 5.0;
/// What is surely ink, as a share of the stroke's contrast.
const SURE: f32 = 0.3;
/// What may be the edge of a stroke that is near.
const EDGE: f32 = 0.05;
/// Where a stroke ends, for the box that the sign is cut out with.
const LIMIT: f32 = 0.25;
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
        let border = border(picture);
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
            smooth
                .values
                .iter()
                .map(|&v| f64::from((sign * v - threshold).max(0.0)))
                .sum()
        };
        if beyond(-1.0) > beyond(1.0) {
            [&mut ink, &mut smooth].into_iter().for_each(|plane| {
                plane.values.iter_mut().for_each(|value| *value = -*value);
            });
        }
        for plane in [&mut ink, &mut smooth] {
            plane
                .values
                .iter_mut()
                .for_each(|value| *value = value.max(0.0));
        }
        let mut strokes: Vec<f32> = smooth
            .values
            .iter()
            .copied()
            .filter(|&value| value > threshold)
            .collect();
        strokes.sort_by(f32::total_cmp);
        let contrast = quantile(&strokes, 0.9)?;
        Some(Self {
            ink,
            smooth,
            contrast,
            noise,
        })
    }

    /// The drawn sign, cut out: dust, and the noise around the strokes, are gone.
    pub fn sign(self) -> Plane {
        let Self {
            ink,
            smooth,
            contrast,
            noise,
        } = self;
        let (height, width) = (ink.height, ink.width);
        let parts = parts(&smooth, SURE * contrast);
        let masses: Vec<f32> = parts
            .iter()
            .map(|part| part.iter().map(|&i| smooth.values[i]).sum())
            .collect();
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
        let limit = edge.max(LIMIT * contrast);
        let limits = near
            .iter()
            .zip(&smooth.values)
            .enumerate()
            .filter(|&(_, (&near, &value))| near && value > limit)
            .map(|(i, _)| i);
        let Extent {
            top,
            bottom,
            left,
            right,
        } = Extent::of(sure.iter().copied().chain(limits), width);
        let values = (top..=bottom)
            .flat_map(|row| (left..=right).map(move |column| row * width + column))
            .map(|i| {
                if near[i] && smooth.values[i] > edge {
                    ink.values[i]
                } else {
                    0.0
                }
            })
            .collect();
        Plane {
            height: bottom + 1 - top,
            width: right + 1 - left,
            values,
        }
    }
}

/// The frame of the picture, where the paper is expected.
fn border(picture: &Plane) -> Vec<usize> {
    let &Plane { height, width, .. } = picture;
    let thick = (height.min(width) / 25).max(1);
    let inside = |position: usize, side: usize| position >= thick && position + thick < side;
    (0..height * width)
        .filter(|&i| !(inside(i / width, height) && inside(i % width, width)))
        .collect()
}

/// The paper's brightness, even or rising in one direction: `c0 + c1 x + c2 y` with x and y from
/// -1 to 1.
struct Paper([f64; 3]);

impl Paper {
    /// Least squares over the border; what deviates too far is no paper and is left out.
    fn fit(picture: &Plane, border: &[usize]) -> Self {
        let mut values: Vec<f32> = border.iter().map(|&i| picture.values[i]).collect();
        values.sort_by(f32::total_cmp);
        let mut paper = Paper([f64::from(quantile(&values, 0.5).unwrap_or(0.0)), 0.0, 0.0]);
        for _ in 0..6 {
            let off = |i: usize| (picture.values[i] - paper.at(picture, i)).abs();
            let mut offs: Vec<f32> = border.iter().map(|&i| off(i)).collect();
            offs.sort_by(f32::total_cmp);
            let most = (4.0 * quantile(&offs, 0.5).unwrap_or(0.0)).max(4.0);
            let chosen = border.iter().copied().filter(|&i| off(i) <= most);
            match Self::least_squares(picture, chosen) {
                Some(better) => paper = better,
                None => break,
            }
        }
        paper
    }

    fn least_squares(picture: &Plane, chosen: impl Iterator<Item = usize>) -> Option<Self> {
        // The normal equations, a symmetric 3x3 system with its right side in the fourth column.
        let mut system = [[0f64; 4]; 3];
        for i in chosen {
            let terms = Self::terms(picture, i);
            let value = f64::from(picture.values[i]);
            for (row, a) in system.iter_mut().zip(terms) {
                for (sum, b) in row.iter_mut().zip(terms.into_iter().chain([value])) {
                    *sum += a * b;
                }
            }
        }
        for pivot in 0..3 {
            let scale = system[pivot][pivot];
            if scale < 1e-9 {
                return None; // a line of pixels tells nothing about the other direction
            }
            system[pivot].iter_mut().for_each(|value| *value /= scale);
            let pivot_row = system[pivot];
            for (other, row) in system.iter_mut().enumerate() {
                let factor = row[pivot];
                if other != pivot {
                    row.iter_mut()
                        .zip(pivot_row)
                        .for_each(|(value, p)| *value -= factor * p);
                }
            }
        }
        Some(Paper(system.map(|row| row[3])))
    }

    fn terms(picture: &Plane, i: usize) -> [f64; 3] {
        let centred = |position: usize, side: usize| (2 * position + 1) as f64 / side as f64 - 1.0;
        let (row, column) = (i / picture.width, i % picture.width);
        [
            1.0,
            centred(column, picture.width),
            centred(row, picture.height),
        ]
    }

    fn at(&self, picture: &Plane, i: usize) -> f32 {
        self.0
            .iter()
            .zip(Self::terms(picture, i))
            .map(|(c, term)| c * term)
            .sum::<f64>() as f32
    }
}

/// The connected parts (diagonals count) of what lies above `threshold`, as lists of positions.
fn parts(plane: &Plane, threshold: f32) -> Vec<Vec<usize>> {
    let &Plane { height, width, .. } = plane;
    let mut open: Vec<bool> = plane
        .values
        .iter()
        .map(|&value| value > threshold)
        .collect();
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
        let (from, to) = (
            column.saturating_sub(reach),
            (column + reach + 1).min(width),
        );
        near[row * width + from..row * width + to].fill(true);
    }
    // Down the columns by the distance to the last row that had one, both ways.
    let rows = near.clone();
    for column in 0..width {
        for rows_in_order in [false, true] {
            let mut since = reach + 1;
            for step in 0..height {
                let row = if rows_in_order {
                    step
                } else {
                    height - 1 - step
                };
                since = if rows[row * width + column] {
                    0
                } else {
                    since.saturating_add(1)
                };
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
        let nothing = Extent {
            top: usize::MAX,
            bottom: 0,
            left: usize::MAX,
            right: 0,
        };
        let all = positions.into_iter().fold(nothing, |extent, i| Extent {
            top: extent.top.min(i / width),
            bottom: extent.bottom.max(i / width),
            left: extent.left.min(i % width),
            right: extent.right.max(i % width),
        });
        // Of no positions: a single pixel.
        Extent {
            top: all.top.min(all.bottom),
            left: all.left.min(all.right),
            ..all
        }
    }

    fn longer_side(&self) -> usize {
        (self.bottom - self.top).max(self.right - self.left) + 1
    }
}
