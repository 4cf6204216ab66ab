//! The differences from a sheet's paper.

use super::background::{self, Paper};
use super::connected_components::{Extent, neighbors};
use super::find_sheets::Sheet;
use super::float_picture::{Plane, quantile};

/// A sheet's part of the picture, as differences from the paper.
pub(super) struct Ground {
    /// The sheet's place in the picture.
    pub extent: Extent,
    /// How much darker than the paper each pixel is; 0 outside of the sheet.
    pub darker: Plane,
    /// Standard deviation of the paper.
    pub noise: f32,
    /// For each pixel the number of its cell.
    rows: Vec<usize>,
    columns: Vec<usize>,
    cells_across: usize,
    /// The cells at the sheet's rim, their number, and the rows and columns that they take up.
    pub rim: Vec<bool>,
    pub rim_length: usize,
    pub rim_size: [usize; 2],
    inside: Vec<bool>,
    seam: Vec<bool>,
    pub picture_area: f64,
    pub picture_width: usize,
}

impl Ground {
    /// Returns the differences from `sheet`; `None` if it has no inside.
    pub fn on(sheet: &Sheet, picture: &Plane) -> Option<Self> {
        if sheet.area() == 0 {
            return None;
        }
        let [high, wide] = sheet.overview;
        let cells = sheet.extent();
        let from = |cell: usize, cells: usize, side: usize| (cell * side).div_ceil(cells);
        let extent = Extent {
            top: from(cells.top, high, picture.height).min(picture.height - 1),
            bottom: (from(cells.bottom + 1, high, picture.height)).max(1) - 1,
            left: from(cells.left, wide, picture.width).min(picture.width - 1),
            right: (from(cells.right + 1, wide, picture.width)).max(1) - 1,
        };
        let rows: Vec<usize> =
            (extent.top..=extent.bottom).map(|row| row * high / picture.height).collect();
        let columns: Vec<usize> =
            (extent.left..=extent.right).map(|column| column * wide / picture.width).collect();
        let background = sheet.background();
        let at_rows = blends(extent.top, extent.bottom, picture.height, high);
        let at_columns = blends(extent.left, extent.right, picture.width, wide);
        let [height, width] = [rows.len(), columns.len()];
        let mut values = Vec::with_capacity(height * width);
        let mut offs = Vec::new();
        let mut line = vec![0.0; wide];
        for (r, &(above, below, part)) in at_rows.iter().enumerate() {
            let upper = &background.values[above * wide..(above + 1) * wide];
            let lower = &background.values[below * wide..(below + 1) * wide];
            for ((value, upper), lower) in line.iter_mut().zip(upper).zip(lower) {
                *value = upper + part * (lower - upper);
            }
            let pixels = (extent.top + r) * picture.width + extent.left;
            let inside = &sheet.inside[rows[r] * wide..(rows[r] + 1) * wide];
            let paper = &sheet.paper[rows[r] * wide..(rows[r] + 1) * wide];
            for (c, &(left, right, part)) in at_columns.iter().enumerate() {
                let cell = columns[c];
                let value =
                    line[left] + part * (line[right] - line[left]) - picture.values[pixels + c];
                values.push(if inside[cell] { value } else { 0.0 });
                if inside[cell] && paper[cell] && (r + c) % 3 == 0 {
                    offs.push(value.abs());
                }
            }
        }
        let darker = Plane { height, width, values };
        let rim = sheet.rim();
        Some(Self {
            extent,
            darker,
            noise: deviation(offs),
            rows,
            columns,
            cells_across: wide,
            rim_length: rim.iter().filter(|&&rim| rim).count(),
            rim_size: cells.size(),
            rim,
            inside: sheet.inside.clone(),
            seam: sheet.seam.clone(),
            picture_area: (picture.height * picture.width) as f64,
            picture_width: picture.width,
        })
    }

    /// Returns the differences from a sheet that is all of the picture, as its border shows it.
    pub fn whole(picture: &Plane) -> Self {
        let &Plane { height, width, .. } = picture;
        let border = background::border(picture);
        let paper = Paper::fit(picture, &border);
        let mut darker = picture.clone();
        darker.values.iter_mut().enumerate().for_each(|(i, value)| {
            *value = paper.at(picture, i) - *value;
        });
        let noise = deviation(border.iter().map(|&i| darker.values[i].abs()).collect());
        let [high, wide] = [height, width].map(|side| side.min(128));
        let rim: Vec<bool> =
            (0..high * wide).map(|i| neighbors(i, [high, wide]).count() < 4).collect();
        Self {
            extent: Extent { top: 0, bottom: height - 1, left: 0, right: width - 1 },
            darker,
            noise,
            rows: (0..height).map(|row| row * high / height).collect(),
            columns: (0..width).map(|column| column * wide / width).collect(),
            cells_across: wide,
            rim_length: rim.iter().filter(|&&rim| rim).count(),
            rim_size: [high, wide],
            rim,
            inside: vec![true; high * wide],
            seam: vec![false; high * wide],
            picture_area: (height * width) as f64,
            picture_width: width,
        }
    }

    /// Returns the cell that pixel `i` of `darker` lies in.
    pub fn cell(&self, i: usize) -> usize {
        let (row, column) = (i / self.darker.width, i % self.darker.width);
        self.rows[row] * self.cells_across + self.columns[column]
    }

    /// Returns how many sides of the picture these cells of the rim lie at; `None` if one of them
    /// lies at no side.
    pub fn picture_sides(&self, cells: &[usize]) -> Option<usize> {
        let (wide, high) = (self.cells_across, self.inside.len() / self.cells_across);
        let mut at = [false; 4];
        for cell in cells {
            let (row, column) = (cell / wide, cell % wide);
            let here = [row == 0, row + 1 == high, column == 0, column + 1 == wide];
            if here == [false; 4] {
                return None;
            }
            at.iter_mut().zip(here).for_each(|(at, here)| *at |= here);
        }
        Some(at.into_iter().filter(|&at| at).count())
    }

    pub fn cells_across(&self) -> usize {
        self.cells_across
    }

    /// Returns whether pixel `i` of `darker` is where light and shadow meet.
    pub fn is_seam(&self, i: usize) -> bool {
        self.seam[self.cell(i)]
    }

    pub fn is_inside(&self, i: usize) -> bool {
        self.inside[self.cell(i)]
    }
}

/// Returns for each pixel the two cells that it lies between, and the part of the second.
fn blends(first: usize, last: usize, side: usize, cells: usize) -> Vec<(usize, usize, f32)> {
    (first..=last)
        .map(|pixel| {
            let at = ((pixel as f32 + 0.5) * cells as f32 / side as f32 - 0.5).max(0.0);
            let cell = (at as usize).min(cells - 1);
            (cell, (cell + 1).min(cells - 1), at - cell as f32)
        })
        .collect()
}

/// Returns the standard deviation by the median of the absolute deviations.
fn deviation(mut offs: Vec<f32>) -> f32 {
    offs.sort_by(f32::total_cmp);
    // The median deviation of a normal distribution is 0.6745 standard deviations.
    quantile(&offs, 0.5).unwrap_or(0.0) / 0.6745
}
