//! Ruled lines: thin, straight, and from one end of the sheet to the other.
//!
//! A stroke does not go that far, so a line is found although the sign lies on it. Where a stroke
//! crosses a line, the stroke stays.

use super::float_picture::Plane;
use super::subtract_background::Ground;

/// The longer side of the grid that lines are looked for on.
const GRID: usize = 192;
/// The inked part of a line.
const COVERED: f64 = 0.85;
/// The shortest line, as a fraction of the sheet.
const SHORTEST: f64 = 0.5;
/// The thickest line, as a fraction of the sheet's longer side.
const THICKEST: f64 = 0.045;
/// The steepest lines, as rows in a hundred columns.
const STEEPEST: i32 = 20;
/// Ink on a line is this much darker.
const DARKER: f32 = 1.6;

/// Takes ruled lines away from `ink`, across and down.
pub(super) fn remove(ink: &mut Plane, threshold: f32, ground: &Ground) {
    for across in [true, false] {
        let grid = Grid::of(ink, threshold, ground, across);
        if let Some(lines) = grid.lines() {
            lines.erase(ink, threshold, &grid);
        }
    }
}

/// Which cells of the sheet have ink, with the direction of the lines as the second axis.
struct Grid {
    across: bool,
    /// Pixels in a cell's side.
    scale: f64,
    /// Rows and columns.
    size: [usize; 2],
    inside: Vec<bool>,
    inked: Vec<bool>,
}

impl Grid {
    fn of(ink: &Plane, threshold: f32, ground: &Ground, across: bool) -> Self {
        let scale = (ink.height.max(ink.width) as f64 / GRID as f64).max(1.0);
        let cells = |side: usize| ((side as f64 / scale).ceil() as usize).max(1);
        let size =
            if across { [ink.height, ink.width] } else { [ink.width, ink.height] }.map(cells);
        let mut grid = Self {
            across,
            scale,
            size,
            inside: vec![false; size[0] * size[1]],
            inked: vec![false; size[0] * size[1]],
        };
        for (i, &value) in ink.values.iter().enumerate() {
            let cell = grid.cell(i / ink.width, i % ink.width);
            grid.inked[cell] |= value > threshold;
            grid.inside[cell] |= ground.is_inside(i);
        }
        grid
    }

    /// Returns how far across and along the lines a pixel is.
    fn axes(&self, row: usize, column: usize) -> [f64; 2] {
        let [row, column] = [row as f64 / self.scale, column as f64 / self.scale];
        if self.across { [row, column] } else { [column, row] }
    }

    fn cell(&self, row: usize, column: usize) -> usize {
        let [across, along] = self.axes(row, column).map(|at| at as usize);
        across.min(self.size[0] - 1) * self.size[1] + along.min(self.size[1] - 1)
    }

    fn lines(&self) -> Option<Lines> {
        let found = (-STEEPEST..=STEEPEST).filter_map(|slope| self.at(f64::from(slope) / 100.0));
        found.max_by(|a, b| a.covered.total_cmp(&b.covered))
    }

    /// Returns the lines with this slope.
    fn at(&self, slope: f64) -> Option<Lines> {
        let [high, wide] = self.size;
        let first = |along: usize| slope * (along as f64 - wide as f64 / 2.0);
        let margin = first(0).abs().ceil() as usize + 1;
        let mut counts = vec![(0u32, 0u32); high + 2 * margin];
        let shifts: Vec<isize> =
            (0..wide).map(|along| (margin as f64 - first(along)).round() as isize).collect();
        for row in 0..high {
            let cells = row * wide..(row + 1) * wide;
            let cells = self.inside[cells.clone()].iter().zip(&self.inked[cells]);
            for ((&inside, &inked), shift) in cells.zip(&shifts) {
                let count = &mut counts[row.saturating_add_signed(*shift)];
                count.0 += u32::from(inside);
                count.1 += u32::from(inside && inked);
            }
        }
        let part = |&(inside, inked): &(u32, u32)| {
            let long = f64::from(inside) >= SHORTEST * wide as f64;
            if long { f64::from(inked) / f64::from(inside) } else { 0.0 }
        };
        let parts: Vec<f64> = counts.iter().map(part).collect();
        Lines::of(&parts, slope, margin, THICKEST * high.max(wide) as f64)
    }
}

/// Parallel lines.
struct Lines {
    slope: f64,
    margin: usize,
    /// First and last place across of each.
    places: Vec<[usize; 2]>,
    /// How well they are covered, summed up.
    covered: f64,
}

impl Lines {
    fn of(parts: &[f64], slope: f64, margin: usize, thickest: f64) -> Option<Self> {
        let mut places: Vec<[usize; 2]> = Vec::new();
        for (at, _) in parts.iter().enumerate().filter(|&(_, &part)| part >= COVERED) {
            match places.last_mut() {
                Some([_, last]) if *last + 1 == at => *last = at,
                _ => places.push([at, at]),
            }
        }
        places.retain(|[first, last]| (last + 1 - first) as f64 <= thickest.max(2.0));
        let best =
            |&[first, last]: &[usize; 2]| parts[first..=last].iter().copied().fold(0.0, f64::max);
        let covered = places.iter().map(best).sum();
        (!places.is_empty()).then_some(Self { slope, margin, places, covered })
    }

    fn erase(&self, ink: &mut Plane, threshold: f32, grid: &Grid) {
        let before = ink.clone();
        let edge = 1.0 + 1.5 / grid.scale;
        for &[first, last] in &self.places {
            let (first, last) = (first as f64 - edge, last as f64 + edge);
            let pixels = self.band(grid, [ink.height, ink.width], first, last);
            let mut values: Vec<f32> =
                pixels.iter().map(|p| before.values[p.0]).filter(|&v| v > threshold).collect();
            if values.is_empty() {
                continue;
            }
            let middle = values.len() / 2;
            let level = *values.select_nth_unstable_by(middle, f32::total_cmp).1;
            for (i, above, below) in pixels {
                let beyond = [above, below].map(|j| j.map_or(0.0, |j| before.values[j]));
                let strong = before.values[i] > DARKER * level;
                let crossed = beyond.iter().all(|&value| value > threshold.max(0.5 * level));
                if !strong && !crossed {
                    ink.values[i] = 0.0;
                }
            }
        }
    }

    /// Returns the pixels between two places, each with the pixels before and after the band.
    fn band(
        &self,
        grid: &Grid,
        [height, width]: [usize; 2],
        first: f64,
        last: f64,
    ) -> Vec<(usize, Option<usize>, Option<usize>)> {
        let [depth, length] = if grid.across { [height, width] } else { [width, height] };
        let position = |across: f64, along: usize| {
            let inside = across >= 0.0 && across < depth as f64;
            let across = across as usize;
            inside.then_some(if grid.across {
                across * width + along
            } else {
                along * width + across
            })
        };
        let mut pixels = Vec::new();
        for along in 0..length {
            let shift = self.slope * (along as f64 / grid.scale - grid.size[1] as f64 / 2.0)
                - self.margin as f64;
            let [from, to] = [first + shift, last + 1.0 + shift].map(|at| at * grid.scale);
            let (above, below) = (position(from - 1.5, along), position(to + 1.0, along));
            for across in from.max(0.0).ceil() as usize..(to.max(0.0).ceil() as usize).min(depth) {
                pixels.extend(position(across as f64, along).map(|i| (i, above, below)));
            }
        }
        pixels
    }
}
