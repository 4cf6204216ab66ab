//! The sheets that a picture may show: its large flat regions, each with what lies on it.
//!
//! A table, a frame, a sheet and a blackboard are flat regions with steps between them. They are
//! found on an overview of the picture, without thin strokes and lines and with little noise.

use super::connected_components::{Extent, dilated, neighbors};
use super::float_picture::Plane;
use super::hull_cells::{hull, without_rim};
use super::hull_polygon::Outline;

/// The longer side of the overview.
const OVERVIEW: usize = 128;
/// Neighbors that differ by fewer levels are of one region: lighting changes slowly.
const STEP: f32 = 6.0;
/// The smallest sheet, as a fraction of the picture.
const SMALLEST: f64 = 0.03;
/// Both halves of a sheet that a shadow cuts have at least this fraction of the picture.
const HALF: f64 = 0.04;
/// The largest number of regions that are looked at.
const MOST: usize = 8;

/// A flat region of the overview with everything that it surrounds.
pub(super) struct Sheet {
    /// Rows and columns of the overview.
    pub overview: [usize; 2],
    /// The cells of the overview within the sheet's convex hull, without its rim.
    pub inside: Vec<bool>,
    /// The cells that are paper.
    pub paper: Vec<bool>,
    /// The values of the overview, without thin strokes.
    pub values: Vec<f32>,
    /// The cells between two halves of different brightness.
    pub seam: Vec<bool>,
    /// Whether it consists of two regions of different brightness.
    pub halves: bool,
}

/// Returns the sheets of `picture`, the largest first, then pairs of neighboring ones.
pub(super) fn sheets(picture: &Plane) -> Vec<Sheet> {
    let plain = overview(picture);
    let flat = without_thin(&plain);
    let size = [flat.height, flat.width];
    let regions = regions(&flat);
    let mut sheets: Vec<Sheet> =
        regions.iter().map(|region| Sheet::of(region.clone(), &flat, false)).collect();
    let large = |region: &&Vec<usize>| region.len() as f64 >= HALF * (size[0] * size[1]) as f64;
    let large: Vec<&Vec<usize>> = regions.iter().filter(large).collect();
    for (n, first) in large.iter().enumerate() {
        for second in &large[n + 1..] {
            if are_halves(first, second, &flat) {
                sheets.extend(Sheet::of_halves(first, second, &flat));
            }
        }
    }
    sheets.retain(Sheet::is_plausible);
    sheets
}

/// Returns the picture's cells, each the mean of its pixels (or a copy of the nearest one).
fn overview(picture: &Plane) -> Plane {
    let longer = picture.height.max(picture.width);
    let [height, width] =
        [picture.height, picture.width].map(|side| (side * OVERVIEW).div_ceil(longer).max(1));
    let pixels = |cell: usize, cells: usize, side: usize| {
        let from = cell * side / cells;
        from..((cell + 1) * side / cells).max(from + 1)
    };
    let mut values = Vec::with_capacity(height * width);
    for row in 0..height {
        let rows = pixels(row, height, picture.height);
        for column in 0..width {
            let columns = pixels(column, width, picture.width);
            let sum: f32 = rows
                .clone()
                .map(|r| {
                    let line = r * picture.width;
                    picture.values[line + columns.start..line + columns.end].iter().sum::<f32>()
                })
                .sum();
            values.push(sum / (rows.len() * columns.len()) as f32);
        }
    }
    Plane { height, width, values }
}

/// Returns the median of the 5x5 cells around each: lines of up to two cells are gone.
fn without_thin(plane: &Plane) -> Plane {
    let &Plane { height, width, .. } = plane;
    let mut around = Vec::with_capacity(25);
    let mut median = |i: usize| {
        around.clear();
        let (row, column) = (i / width, i % width);
        for r in row.saturating_sub(2)..(row + 3).min(height) {
            let line = r * width;
            let columns = column.saturating_sub(2)..(column + 3).min(width);
            around.extend_from_slice(&plane.values[line + columns.start..line + columns.end]);
        }
        let middle = around.len() / 2;
        *around.select_nth_unstable_by(middle, f32::total_cmp).1
    };
    Plane { height, width, values: (0..height * width).map(&mut median).collect() }
}

/// Returns the large regions without steps, the largest first.
fn regions(flat: &Plane) -> Vec<Vec<usize>> {
    let &Plane { height, width, .. } = flat;
    let least = (SMALLEST * (height * width) as f64).ceil() as usize;
    let mut seen = vec![false; height * width];
    let mut regions = Vec::new();
    for start in 0..seen.len() {
        if std::mem::replace(&mut seen[start], true) {
            continue;
        }
        let (mut region, mut next) = (vec![start], 0);
        while let Some(&i) = region.get(next) {
            next += 1;
            for j in neighbors(i, [height, width]) {
                if !seen[j] && (flat.values[i] - flat.values[j]).abs() <= STEP {
                    seen[j] = true;
                    region.push(j);
                }
            }
        }
        if region.len() >= least {
            regions.push(region);
        }
    }
    regions.sort_by_key(|region| std::cmp::Reverse(region.len()));
    regions.truncate(MOST);
    regions
}

/// Returns whether two regions may be one sheet, lit and in shadow: near each other along a line,
/// and neither within the other.
fn are_halves(first: &[usize], second: &[usize], flat: &Plane) -> bool {
    const NEAR: usize = 5;
    let size = [flat.height, flat.width];
    let near = dilated(first, size, NEAR);
    let common = second.iter().filter(|&&i| near[i]).count() / NEAR;
    let shorter = Extent::of(first.iter().copied(), flat.width).size().into_iter().min();
    common * 4 >= shorter.unwrap_or(0)
}

fn positions(marked: &[bool]) -> Vec<usize> {
    (0..marked.len()).filter(|&i| marked[i]).collect()
}

impl Sheet {
    fn of(region: Vec<usize>, flat: &Plane, halves: bool) -> Self {
        let size = [flat.height, flat.width];
        let mut paper = vec![false; flat.values.len()];
        region.iter().for_each(|&i| paper[i] = true);
        let inside = without_rim(&hull(&paper, size), size);
        let seam = vec![false; paper.len()];
        Self { overview: size, inside, paper, values: flat.values.clone(), seam, halves }
    }

    /// Returns the sheet that is partly in shadow: both parts reach its rim.
    fn of_halves(first: &[usize], second: &[usize], flat: &Plane) -> Option<Self> {
        const ALIKE: f32 = 12.0; // levels
        const AT_RIM: usize = 10; // each half has a tenth of the rim
        const SEAM: usize = 3;
        let size = [flat.height, flat.width];
        let mut sheet = Self::of(first.iter().chain(second).copied().collect(), flat, true);
        let rim = dilated(&positions(&sheet.rim()), size, SEAM);
        let cells = sheet.rim().iter().filter(|&&rim| rim).count();
        let halves = [first, second];
        if halves
            .iter()
            .any(|half| half.iter().filter(|&&i| rim[i]).count() * AT_RIM < cells * (SEAM + 1))
        {
            return None;
        }
        let levels = halves.map(|half| {
            let mut values: Vec<f32> = half.iter().map(|&i| flat.values[i]).collect();
            let middle = values.len() / 2;
            *values.select_nth_unstable_by(middle, f32::total_cmp).1
        });
        for (i, paper) in sheet.paper.iter_mut().enumerate() {
            let alike = levels.iter().any(|level| (flat.values[i] - level).abs() < ALIKE);
            *paper |= sheet.inside[i] && alike;
        }
        let near = halves.map(|half| dilated(half, size, SEAM));
        sheet.seam = near[0].iter().zip(&near[1]).map(|(&a, &b)| a && b).collect();
        Some(sheet)
    }

    /// Returns the rows and columns of the overview that the sheet takes up.
    pub fn extent(&self) -> Extent {
        let inside = self.inside.iter().enumerate().filter(|&(_, &inside)| inside);
        Extent::of(inside.map(|(i, _)| i), self.overview[1])
    }

    /// Returns whether a sheet has this shape: most of it is paper, and it is a rectangle unless it
    /// takes up much of the picture. A thick stroke is another shape.
    fn is_plausible(&self) -> bool {
        let cells: Vec<usize> = (0..self.inside.len()).filter(|&i| self.inside[i]).collect();
        let paper = cells.iter().filter(|&&i| self.paper[i]).count() as f64;
        let outline = Outline::of(&cells, self.overview[1]);
        let [long, short] = outline.rectangle();
        let large = cells.len() * 5 >= 2 * self.inside.len();
        let filled = paper / (cells.len() as f64).max(1.0);
        let rectangular = outline.area() / (long * short).max(1.0);
        // A bold sign and what it encloses leave less than half of a sheet.
        let is_sheet = |least: f64, part: f64| filled > part && rectangular > least;
        large && filled > 0.45 || long < 6.0 * short && (is_sheet(0.9, 0.4) || is_sheet(0.82, 0.6))
    }

    /// Returns the place in a picture of `height` and `width`.
    pub fn place(&self, [height, width]: [usize; 2]) -> Extent {
        let cells = self.extent();
        let [high, wide] = self.overview;
        Extent {
            top: cells.top * height / high,
            bottom: cells.bottom * height / high,
            left: cells.left * width / wide,
            right: cells.right * width / wide,
        }
    }

    /// Returns the number of cells inside.
    pub fn area(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }

    /// Returns the cells at the sheet's rim.
    pub fn rim(&self) -> Vec<bool> {
        let size = self.overview;
        (0..self.inside.len())
            .map(|i| self.inside[i] && neighbors(i, size).filter(|&j| self.inside[j]).count() < 4)
            .collect()
    }

    /// Returns the paper's brightness in each cell: the median of the paper around it.
    pub fn background(&self) -> Plane {
        let [height, width] = self.overview;
        let known = medians(&self.values, &self.paper, self.overview);
        Plane { height, width, values: filled(known, self.overview) }
    }
}

/// Returns the median of the paper's values in a window around each cell, where there is any.
fn medians(values: &[f32], paper: &[bool], [height, width]: [usize; 2]) -> Vec<Option<f32>> {
    const REACH: usize = 10;
    let mut known = Vec::with_capacity(values.len());
    let level = |i: usize| values[i].clamp(0.0, 255.0) as usize;
    for row in 0..height {
        let rows = row.saturating_sub(REACH)..(row + REACH + 1).min(height);
        let (mut counts, mut total) = ([0u32; 256], 0u32);
        let column_of =
            |column: usize| rows.clone().map(move |r| r * width + column).filter(|&i| paper[i]);
        for column in 0..width.min(REACH) {
            column_of(column).for_each(|i| (counts[level(i)] += 1, total += 1).0);
        }
        for column in 0..width {
            if column + REACH < width {
                column_of(column + REACH).for_each(|i| (counts[level(i)] += 1, total += 1).0);
            }
            if column > REACH {
                column_of(column - REACH - 1).for_each(|i| (counts[level(i)] -= 1, total -= 1).0);
            }
            let mut below = 0;
            let median = counts.iter().position(|&count| {
                below += count;
                2 * below > total
            });
            known.push(median.filter(|_| total > 0).map(|median| median as f32));
        }
    }
    known
}

/// Returns all values, the unknown ones from those around them: means of ever larger cells.
fn filled(known: Vec<Option<f32>>, [height, width]: [usize; 2]) -> Vec<f32> {
    if known.iter().all(Option::is_some) || known.iter().all(Option::is_none) {
        return known.into_iter().map(Option::unwrap_or_default).collect();
    }
    let [rows, columns] = [height.div_ceil(2), width.div_ceil(2)];
    let mut sums = vec![(0.0, 0.0); rows * columns];
    for (i, value) in known.iter().enumerate() {
        let sum = &mut sums[i / width / 2 * columns + i % width / 2];
        *sum = value.map_or(*sum, |value| (sum.0 + value, sum.1 + 1.0));
    }
    let means = sums.iter().map(|&(sum, n)| (n > 0.0).then(|| sum / n)).collect();
    let coarse = filled(means, [rows, columns]);
    let from_coarse = |i: usize| coarse[i / width / 2 * columns + i % width / 2];
    known.iter().enumerate().map(|(i, value)| value.unwrap_or_else(|| from_coarse(i))).collect()
}
