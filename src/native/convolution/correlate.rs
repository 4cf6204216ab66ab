//! The forward pass: each window times the weights.

use super::operands::{Panels, Windows};
use super::registers::{Kernel, Lanes};
use super::tiles::{Tiles, load, multiply, store, tiles};

/// The bytes of a panel's rows that are multiplied with all pixels before the next: those stay in the cache.
const CACHED: usize = 96 << 10;

pub struct Correlate<'a> {
    pub out: &'a mut [f32],
    pub x: &'a [f32],
    pub windows: Windows<'a>,
    pub weights: Panels<'a>,
    pub bias: &'a [f32],
}

/// The part of it with some of a window's stretches, and the columns of one panel.
struct CorrelatePanel<'a> {
    out: *mut f32,
    channels: usize,
    x: *const f32,
    windows: Windows<'a>,
    stretches: std::ops::Range<usize>,
    panel: (usize, usize),
    weights: *const f32,
    bias: *const f32,
}

impl Kernel for Correlate<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (windows, channels) = (self.windows, self.weights.columns);
        let mut weights = self.weights.data.as_ptr();
        for panel @ (_, width) in self.weights.panels() {
            let bytes = windows.length * width * size_of::<f32>();
            let at_once = (CACHED / bytes.max(1)).clamp(1, windows.rows.max(1));
            for first in (0..windows.rows).step_by(at_once) {
                let stretches = first..windows.rows.min(first + at_once);
                let (x, bias) = (self.x.as_ptr(), self.bias.as_ptr());
                let out = self.out.as_mut_ptr();
                let mut part =
                    CorrelatePanel { out, channels, x, windows, stretches, panel, weights, bias };
                unsafe { tiles::<L>(&mut part, windows.starts.len(), panel) };
            }
            weights = unsafe { weights.add(self.weights.rows * width) };
        }
    }
}

impl Tiles for CorrelatePanel<'_> {
    #[inline(always)]
    unsafe fn tile<L: Lanes, const P: usize, const V: usize>(&mut self, row: usize, column: usize) {
        let Windows { starts, stride, length, .. } = self.windows;
        let (first, width) = self.panel;
        unsafe {
            let out = self.out.add(row * self.channels + column);
            let mut sums: [[L; V]; P] = match self.stretches.start {
                0 => load(self.bias.add(column), 0),
                _ => load(out, self.channels),
            };
            let mut x = [self.x; P];
            for p in 0..P {
                x[p] = self.x.add(*starts.get_unchecked(row + p) as usize);
            }
            for stretch in self.stretches.clone() {
                let mut x = x;
                for x in &mut x {
                    *x = x.add(stretch * stride);
                }
                let w = self.weights.add(stretch * length * width + column - first);
                multiply(&mut sums, x, length, w, width);
            }
            store(sums, out, self.channels);
        }
    }
}
