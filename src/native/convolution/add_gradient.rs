//! The weights' gradient: each gradient of an output times its window.

use super::operands::Windows;
use super::registers::{Kernel, LANES, Lanes};
use super::tiles::{load, load_row, store, store_row};

pub struct AddGradient<'a> {
    pub dw: &'a mut [f32],
    pub x: &'a [f32],
    pub windows: Windows<'a>,
    pub dy: &'a [f32],
    pub channels: usize,
}

impl Kernel for AddGradient<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        let Windows { rows, length, .. } = self.windows;
        // Three vectors: a stretch of a filter of 3 by 3 is a multiple of that.
        let widest = L::TILE[1].min(3);
        for row in 0..rows {
            let mut column = 0;
            while column < length {
                let vectors = widest.min((length - column) / LANES);
                unsafe {
                    match vectors {
                        1 => self.part::<L, 1>(row, column),
                        2 => self.part::<L, 2>(row, column),
                        _ => self.part::<L, 3>(row, column),
                    }
                }
                column += vectors * LANES;
            }
        }
    }
}

impl AddGradient<'_> {
    /// Adds to V vectors of a stretch of the weights of all channels.
    #[inline(always)]
    unsafe fn part<L: Lanes, const V: usize>(&mut self, row: usize, column: usize) {
        let mut channel = 0;
        while channel < self.channels {
            unsafe {
                // The number of channels is a multiple of 16.
                channel += match (L::TILE, self.channels - channel) {
                    ([6, 4], _) => self.tile::<L, 8, V>(row, column, channel),
                    ([6, _], 4 | 8) => self.tile::<L, 4, V>(row, column, channel),
                    ([6, _], _) => self.tile::<L, 6, V>(row, column, channel),
                    _ => self.tile::<L, 2, V>(row, column, channel),
                };
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<L: Lanes, const P: usize, const V: usize>(
        &mut self,
        row: usize,
        column: usize,
        channel: usize,
    ) -> usize {
        let Windows { starts, stride, length, .. } = self.windows;
        let size = self.windows.size();
        unsafe {
            let x = self.x.as_ptr().add(row * stride + column);
            let dw = self.dw.as_mut_ptr().add(channel * size + row * length + column);
            let mut sums: [[L; V]; P] = load(dw.cast_const(), size);
            let mut dy = self.dy.as_ptr().add(channel);
            for &start in starts {
                let x: [L; V] = load_row(x.add(start as usize));
                for p in 0..P {
                    let dy = L::splat(*dy.add(p));
                    for v in 0..V {
                        sums[p][v] = sums[p][v].add_product(dy, x[v]);
                    }
                }
                dy = dy.add(self.channels);
            }
            store(sums, dw, size);
        }
        P
    }
}

pub struct AddMaxima<'a> {
    pub dw: &'a mut [f32],
    pub x: &'a [f32],
    pub windows: Windows<'a>,
    pub dy: &'a [f32],
    pub pixels: &'a [f32],
    pub channels: usize,
}

impl Kernel for AddMaxima<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        unsafe {
            match self.windows.length / LANES {
                1 => self.add::<L, 1>(),
                2 => self.add::<L, 2>(),
                _ => self.add::<L, 3>(),
            }
        }
    }
}

impl AddMaxima<'_> {
    #[inline(always)]
    unsafe fn add<L: Lanes, const V: usize>(&mut self) {
        let rows = self.dy.chunks_exact(self.channels);
        for (dy, pixels) in rows.zip(self.pixels.chunks_exact(self.channels)) {
            let mut dw = self.dw.as_mut_ptr();
            for (&dy, pixel) in dy.iter().zip(pixels) {
                let start = self.windows.starts[pixel.to_bits() as usize];
                unsafe {
                    let x: [L; V] = load_row(self.x.as_ptr().add(start as usize));
                    let mut sums: [L; V] = load_row(dw.cast_const());
                    for v in 0..V {
                        sums[v] = sums[v].add_product(L::splat(dy), x[v]);
                    }
                    store_row(sums, dw);
                    dw = dw.add(V * LANES);
                }
            }
        }
    }
}
