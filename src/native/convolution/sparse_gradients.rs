//! Both gradients where most gradients of the outputs are zero, as before a maximum.

use super::operands::Windows;
use super::registers::{Kernel, LANES, Lanes};
use super::tiles::{load, store};

/// The gradients of the outputs of a picture that are not zero, by channel.
#[derive(Debug, Default)]
pub struct SparseGradients {
    /// A list for each channel, `capacity` apart.
    entries: Vec<Entry>,
    /// The lengths of the lists.
    pub(super) counts: Vec<usize>,
    capacity: usize,
    /// The last start that an entry may have.
    pub(super) last: usize,
}

/// The start of a window, and the gradient there.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    start: u32,
    value: f32,
}

impl SparseGradients {
    /// Takes the gradients `dy` of maxima, [maxima, channels], each of the pixel whose
    /// number is the bits of `pixels`, [maxima, channels]; its window begins at its place in `starts`.
    ///
    /// # Panics
    /// If a pixel has no start.
    pub fn collect(&mut self, dy: &[f32], pixels: &[f32], starts: &[u32], channels: usize) {
        self.capacity = dy.len() / channels.max(1);
        self.last = starts.iter().max().map_or(0, |&start| start as usize);
        self.counts.clear();
        self.counts.resize(channels, 0);
        self.entries.resize(dy.len().max(self.entries.len()), Entry::default());
        for first in (0..channels).step_by(LANES) {
            let mut taken = [0usize; LANES];
            let lists = &mut self.entries[first * self.capacity..];
            for (dy, pixels) in dy[first..].chunks(channels).zip(pixels[first..].chunks(channels)) {
                let values = dy[..LANES].iter().zip(&pixels[..LANES]);
                for (lane, (&value, pixel)) in values.enumerate() {
                    // Written in any case and kept if it is not zero: there is nothing to predict.
                    let place = lane * self.capacity + taken[lane];
                    lists[place] = Entry { start: starts[pixel.to_bits() as usize], value };
                    taken[lane] += usize::from(value != 0.0);
                }
            }
            self.counts[first..first + LANES].copy_from_slice(&taken);
        }
    }

    fn channel(&self, channel: usize) -> &[Entry] {
        &self.entries[channel * self.capacity..][..self.counts[channel]]
    }
}

/// Products of the gradients of one channel with windows, where most gradients are zero.
#[derive(Clone, Copy)]
struct Sparse<'a> {
    /// The picture, which is written if `spreads`.
    x: *mut f32,
    /// The channel's weights, which are written otherwise.
    w: *mut f32,
    windows: Windows<'a>,
    entries: &'a [Entry],
    spreads: bool,
}

impl Sparse<'_> {
    /// Computes all of them, for as much of a window at a time as the registers hold.
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Windows { rows, length, .. } = self.windows;
        let is_wide = L::TILE[1] > 1;
        let of_three = is_wide && rows == 3 && length <= 6 * LANES;
        let widest = if is_wide { 8 } else { 6 };
        for row in (0..rows).step_by(if of_three { 3 } else { 1 }) {
            for column in (0..length).step_by(widest * LANES) {
                let vectors = widest.min((length - column) / LANES);
                macro_rules! part {
                    ($rows:literal, $vectors:literal) => {
                        match self.spreads {
                            true => self.spread::<L, $rows, $vectors>(row, column),
                            false => self.add::<L, $rows, $vectors>(row, column),
                        }
                    };
                }
                // SAFETY: as for this function.
                unsafe {
                    match (of_three, vectors) {
                        (true, 1) => part!(3, 1),
                        (true, 2) => part!(3, 2),
                        (true, 3) => part!(3, 3),
                        (true, 4) => part!(3, 4),
                        (true, 5) => part!(3, 5),
                        (true, _) => part!(3, 6),
                        (false, 1) if !self.spreads => self.add_vector::<L>(row, column),
                        (false, 1) => part!(1, 1),
                        (false, 2) => part!(1, 2),
                        (false, 3) => part!(1, 3),
                        (false, 4) => part!(1, 4),
                        (false, 5) => part!(1, 5),
                        (false, 6) => part!(1, 6),
                        (false, 7) => part!(1, 7),
                        (false, _) => part!(1, 8),
                    }
                }
            }
        }
    }

    /// Adds to V vectors of R stretches of the weights' gradient.
    #[inline(always)]
    unsafe fn add<L: Lanes, const R: usize, const V: usize>(self, row: usize, column: usize) {
        let Windows { stride, length, .. } = self.windows;
        unsafe {
            let x = self.x.add(row * stride + column);
            let w = self.w.add(row * length + column);
            let mut sums: [[L; V]; R] = load(w.cast_const(), length);
            for entry in self.entries {
                let (x, value) = (x.add(entry.start as usize), L::splat(entry.value));
                for r in 0..R {
                    for v in 0..V {
                        let x = L::load(x.add(r * stride + v * LANES));
                        sums[r][v] = sums[r][v].add_product(value, x);
                    }
                }
            }
            store(sums, w, length);
        }
    }

    /// Adds to one vector of a stretch of the weights' gradient. Four sums at a time, as each waits for its last
    /// product.
    #[inline(always)]
    unsafe fn add_vector<L: Lanes>(self, row: usize, column: usize) {
        let Windows { stride, length, .. } = self.windows;
        unsafe {
            let x = self.x.add(row * stride + column);
            let w = self.w.add(row * length + column);
            let mut sums = [L::load(w), L::splat(0.0), L::splat(0.0), L::splat(0.0)];
            let (fours, rest) = self.entries.as_chunks::<4>();
            for four in fours {
                for i in 0..4 {
                    let x = L::load(x.add(four[i].start as usize));
                    sums[i] = sums[i].add_product(L::splat(four[i].value), x);
                }
            }
            for entry in rest {
                let x = L::load(x.add(entry.start as usize));
                sums[0] = sums[0].add_product(L::splat(entry.value), x);
            }
            let one = L::splat(1.0);
            let (first, second) =
                (sums[0].add_product(sums[1], one), sums[2].add_product(sums[3], one));
            first.add_product(second, one).store(w);
        }
    }

    /// Adds V vectors of R stretches of the weights to the picture's gradient.
    #[inline(always)]
    unsafe fn spread<L: Lanes, const R: usize, const V: usize>(self, row: usize, column: usize) {
        let Windows { stride, length, .. } = self.windows;
        unsafe {
            let w = self.w.add(row * length + column).cast_const();
            let w: [[L; V]; R] = load(w, length);
            let x = self.x.add(row * stride + column);
            for entry in self.entries {
                let (x, value) = (x.add(entry.start as usize), L::splat(entry.value));
                for r in 0..R {
                    for v in 0..V {
                        let place = x.add(r * stride + v * LANES);
                        L::load(place).add_product(value, w[r][v]).store(place);
                    }
                }
            }
        }
    }
}

pub struct AddSparse<'a> {
    pub dw: &'a mut [f32],
    pub x: &'a [f32],
    pub windows: Windows<'a>,
    pub dy: &'a SparseGradients,
}

impl Kernel for AddSparse<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (windows, x) = (self.windows, self.x.as_ptr().cast_mut());
        for (channel, dw) in self.dw.chunks_exact_mut(windows.size()).enumerate() {
            let (w, entries) = (dw.as_mut_ptr(), self.dy.channel(channel));
            unsafe { Sparse { x, w, windows, entries, spreads: false }.run::<L>() }
        }
    }
}

pub struct SpreadSparse<'a> {
    pub dx: &'a mut [f32],
    pub windows: Windows<'a>,
    pub dy: &'a SparseGradients,
    pub weights: &'a [f32],
}

impl Kernel for SpreadSparse<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (windows, x) = (self.windows, self.dx.as_mut_ptr());
        for (channel, weights) in self.weights.chunks_exact(windows.size()).enumerate() {
            let (w, entries) = (weights.as_ptr().cast_mut(), self.dy.channel(channel));
            unsafe { Sparse { x, w, windows, entries, spreads: true }.run::<L>() }
        }
    }
}
