//! The background of a picture, estimated from its border.

use super::float_picture::{Plane, quantile};

/// The frame of the picture, where the paper is expected.
pub(super) fn border(picture: &Plane) -> Vec<usize> {
    let &Plane { height, width, .. } = picture;
    let thick = (height.min(width) / 25).max(1);
    let inside = |position: usize, side: usize| position >= thick && position + thick < side;
    (0..height * width)
        .filter(|&i| !(inside(i / width, height) && inside(i % width, width)))
        .collect()
}

/// The paper's brightness, even or rising in one direction: `c0 + c1 x + c2 y` with x and y from
/// -1 to 1.
pub(super) struct Paper([f64; 3]);

impl Paper {
    /// Least squares over the border; what deviates too far is no paper and is left out.
    pub fn fit(picture: &Plane, border: &[usize]) -> Self {
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
                return None; // a line of pixels says nothing about the other direction
            }
            system[pivot].iter_mut().for_each(|value| *value /= scale);
            let pivot_row = system[pivot];
            for (other, row) in system.iter_mut().enumerate() {
                let factor = row[pivot];
                if other != pivot {
                    row.iter_mut().zip(pivot_row).for_each(|(value, p)| *value -= factor * p);
                }
            }
        }
        Some(Paper(system.map(|row| row[3])))
    }

    fn terms(picture: &Plane, i: usize) -> [f64; 3] {
        let centred = |position: usize, side: usize| (2 * position + 1) as f64 / side as f64 - 1.0;
        let (row, column) = (i / picture.width, i % picture.width);
        [1.0, centred(column, picture.width), centred(row, picture.height)]
    }

    /// Its brightness at pixel `i`.
    pub fn at(&self, picture: &Plane, i: usize) -> f32 {
        self.0.iter().zip(Self::terms(picture, i)).map(|(c, term)| c * term).sum::<f64>() as f32
    }
}
