//! The picture's gradient: each gradient of an output times the weights, added to its window.

use super::operands::{Panels, Windows};
use super::registers::{Kernel, Lanes};
use super::tiles::{Tiles, load_row, multiply, store_row, tiles, zeros};

pub struct Spread<'a> {
    pub dx: &'a mut [f32],
    pub windows: Windows<'a>,
    pub dy: &'a [f32],
    pub weights: Panels<'a>,
}

/// The part of it with one panel, at an offset in each window.
struct SpreadPanel<'a> {
    dx: *mut f32,
    starts: &'a [u32],
    dy: *const f32,
    channels: usize,
    weights: *const f32,
    width: usize,
}

impl Kernel for Spread<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Windows { starts, stride, length, .. } = self.windows;
        let channels = self.weights.rows;
        let mut weights = self.weights.data.as_ptr();
        for (first, width) in self.weights.panels() {
            unsafe {
                let dx = self.dx.as_mut_ptr().add(first / length * stride + first % length);
                let dy = self.dy.as_ptr();
                let mut part = SpreadPanel { dx, starts, dy, channels, weights, width };
                tiles::<L>(&mut part, starts.len(), (0, width));
                weights = weights.add(channels * width);
            }
        }
    }
}

impl Tiles for SpreadPanel<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const P: usize, const V: usize>(&mut self, row: usize, column: usize) {
        unsafe {
            let (mut dx, mut dy) = ([self.dx; P], [self.dy; P]);
            let mut sums: [[L; V]; P] = zeros();
            for p in 0..P {
                dx[p] = self.dx.add(*self.starts.get_unchecked(row + p) as usize + column);
                dy[p] = self.dy.add((row + p) * self.channels);
                sums[p] = load_row(dx[p].cast_const());
            }
            multiply(&mut sums, dy, self.channels, self.weights.add(column), self.width);
            for p in 0..P {
                store_row(sums[p], dx[p]);
            }
        }
    }
}
