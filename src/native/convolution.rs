//! The products of a convolution in f32 on the calling thread, over pictures of [height, width, channels].
//!
//! Nothing is copied into columns first: in such a picture the values under a row of a filter are contiguous, so a
//! window is a few stretches. Every size that vectors run over is a multiple of [`LANES`]. The kernels are compiled
//! for AVX-512, for AVX2 and for any other processor. Bits may differ between these, and depend on the sizes alone
//! otherwise.

#![expect(
    clippy::needless_range_loop,
    reason = "tiles are computed by loops over numbers known when compiling, which all are unrolled"
)]

/// The numbers of a vector, which the sizes of channels are rounded up to.
pub const LANES: usize = 16;

/// The vectors of a tile of products, and of a panel.
const VECTORS: usize = 4;

/// The bytes of a panel's rows that are multiplied with all pixels before the next: those stay in the cache.
const CACHED: usize = 96 << 10;

/// The windows over a picture: each begins at a start, and is `rows` stretches of `length` values, `stride` apart.
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    pub starts: &'a [u32],
    pub rows: usize,
    pub stride: usize,
    pub length: usize,
}

impl Windows<'_> {
    /// Returns the number of values in a window.
    pub fn size(&self) -> usize {
        self.rows * self.length
    }

    /// Checks that windows with these starts are in a picture of `values`.
    fn check(&self, starts: impl Iterator<Item = u32>, values: usize) {
        let reach = self.rows.saturating_sub(1) * self.stride + self.length;
        let last = starts.max().map_or(0, |start| start as usize);
        assert!(last + reach <= values, "a window beyond its picture");
    }
}

/// A matrix whose columns are divided into panels: all rows of the first `width` columns, then those of the next.
/// The last panel may be narrower.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub width: usize,
}

/// Returns the width of panels for the most speed on this processor.
pub fn panel_width() -> usize {
    struct Width<'a>(&'a mut usize);

    impl Kernel for Width<'_> {
        #[inline(always)]
        unsafe fn run<L: Lanes>(self) {
            *self.0 = L::TILE[1] * LANES;
        }
    }

    let mut width = 0;
    run(Width(&mut width));
    width
}

impl Panels<'_> {
    fn check(&self) {
        assert!(self.width.is_multiple_of(LANES) && (1..=VECTORS).contains(&(self.width / LANES)));
        assert!(self.columns.is_multiple_of(LANES), "whole vectors");
        assert!(self.rows * self.columns <= self.data.len(), "a matrix beyond its slice");
    }

    /// Returns each panel's first column and width.
    fn panels(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (columns, width) = (self.columns, self.width);
        (0..columns).step_by(width).map(move |first| (first, width.min(columns - first)))
    }
}

/// The gradients of the outputs of a picture that are not zero, by channel.
#[derive(Debug, Default)]
pub struct SparseGradients {
    /// A list for each channel, `capacity` apart.
    entries: Vec<Entry>,
    /// The lengths of the lists.
    counts: Vec<usize>,
    capacity: usize,
    /// The last start that an entry may have.
    last: usize,
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

/// Computes out[p, c] = bias[c] + Σ x[window p, k] · weights[k, c]: [pixels, channels].
///
/// # Panics
/// If the sizes do not match.
pub fn correlate(out: &mut [f32], x: &[f32], windows: Windows, weights: Panels, bias: &[f32]) {
    weights.check();
    windows.check(windows.starts.iter().copied(), x.len());
    assert_eq!(weights.rows, windows.size(), "values of a window");
    assert_eq!(out.len(), windows.starts.len() * weights.columns, "pixels and channels");
    assert_eq!(bias.len(), weights.columns, "a bias for each channel");
    run(Correlate { out, x, windows, weights, bias });
}

/// Adds to the gradient of a picture that of its windows: dx[window p, k] += Σ dy[p, c] · weights[c, k].
///
/// The panels of `weights` divide a window's stretches, and two windows begin at least as far apart as a panel is
/// wide.
///
/// # Panics
/// If the sizes do not match.
pub fn spread(dx: &mut [f32], windows: Windows, dy: &[f32], weights: Panels) {
    weights.check();
    windows.check(windows.starts.iter().copied(), dx.len());
    assert_eq!(weights.columns, windows.size(), "values of a window");
    assert!(windows.length.is_multiple_of(weights.width), "panels divide stretches");
    assert_eq!(dy.len(), windows.starts.len() * weights.rows, "pixels and channels");
    run(Spread { dx, windows, dy, weights });
}

/// Adds to the gradient of the weights: dw[c, k] += Σ dy[p, c] · x[window p, k].
///
/// # Panics
/// If the sizes do not match.
pub fn add_gradient(dw: &mut [f32], x: &[f32], windows: Windows, dy: &[f32]) {
    windows.check(windows.starts.iter().copied(), x.len());
    let channels = dy.len() / windows.starts.len().max(1);
    assert!(
        windows.length.is_multiple_of(LANES) && channels.is_multiple_of(LANES),
        "whole vectors"
    );
    assert_eq!(dy.len(), windows.starts.len() * channels, "pixels and channels");
    assert_eq!(dw.len(), channels * windows.size(), "channels and values of a window");
    run(AddGradient { dw, x, windows, dy, channels });
}

/// Like [`add_gradient`], where most gradients are zero.
///
/// # Panics
/// If the sizes do not match.
pub fn add_sparse_gradient(dw: &mut [f32], x: &[f32], windows: Windows, dy: &SparseGradients) {
    windows.check(std::iter::once(dy.last as u32), x.len());
    assert!(windows.length.is_multiple_of(LANES), "whole vectors");
    assert_eq!(dw.len(), dy.counts.len() * windows.size(), "channels and values of a window");
    run(AddSparse { dw, x, windows, dy });
}

/// The vectors of a window up to which [`add_maxima_gradient`] is faster than lists of gradients that are not zero.
pub const MOST_DIRECT: usize = 3;

/// Like [`add_sparse_gradient`], for gradients of maxima, [maxima, channels], each of the pixel whose number is the bits
/// of `pixels`. Windows have at most [`MOST_DIRECT`] vectors, which are contiguous.
///
/// # Panics
/// If the sizes do not match, or a pixel has no window.
pub fn add_maxima_gradient(
    dw: &mut [f32],
    x: &[f32],
    windows: Windows,
    dy: &[f32],
    pixels: &[f32],
) {
    windows.check(windows.starts.iter().copied(), x.len());
    let (size, channels) = (windows.length, dw.len() / windows.length.max(1));
    assert!(windows.rows == 1 && size.is_multiple_of(LANES) && size <= MOST_DIRECT * LANES);
    assert!(channels > 0 && dy.len().is_multiple_of(channels) && dw.len() == channels * size);
    assert_eq!(dy.len(), pixels.len(), "a pixel for each gradient");
    run(AddMaxima { dw, x, windows, dy, pixels, channels });
}

/// Like [`spread`], where most gradients are zero; `weights` are [channels, values of a window].
///
/// # Panics
/// If the sizes do not match.
pub fn spread_sparse(dx: &mut [f32], windows: Windows, dy: &SparseGradients, weights: &[f32]) {
    windows.check(std::iter::once(dy.last as u32), dx.len());
    assert!(windows.length.is_multiple_of(LANES), "whole vectors");
    assert_eq!(weights.len(), dy.counts.len() * windows.size(), "channels and values of a window");
    run(SpreadSparse { dx, weights, windows, dy });
}

/// Sixteen numbers in registers. Its functions need a processor that has these registers.
trait Lanes: Copy {
    /// The rows and vectors of a tile of sums that the registers hold, beside a few other vectors.
    const TILE: [usize; 2];

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Returns `self` + `a` · `b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// Code that is compiled for each kind of registers. Its indices were checked when it was made.
trait Kernel {
    unsafe fn run<L: Lanes>(self);
}

fn run(kernel: impl Kernel) {
    #[cfg(test)]
    match tests::REGISTERS.get() {
        tests::Registers::Own => {}
        tests::Registers::Wide => return unsafe { kernel.run::<tests::Wide>() },
        tests::Registers::Plain => return unsafe { kernel.run::<[f32; LANES]>() },
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f")]
        fn avx512(kernel: impl Kernel) {
            unsafe { kernel.run::<std::arch::x86_64::__m512>() }
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(kernel: impl Kernel) {
            unsafe { kernel.run::<[std::arch::x86_64::__m256; 2]>() }
        }
        if is_x86_feature_detected!("avx512f") {
            return unsafe { avx512(kernel) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return unsafe { avx2(kernel) };
        }
    }
    unsafe { kernel.run::<[f32; LANES]>() }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    impl Lanes for __m512 {
        const TILE: [usize; 2] = [6, 4];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { _mm512_set1_ps(value) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { _mm512_fmadd_ps(a, b, self) }
        }
    }

    impl Lanes for [__m256; 2] {
        const TILE: [usize; 2] = [6, 1];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { [_mm256_set1_ps(value); 2] }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                _mm256_storeu_ps(to, self[0]);
                _mm256_storeu_ps(to.add(8), self[1]);
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { [_mm256_fmadd_ps(a[0], b[0], self[0]), _mm256_fmadd_ps(a[1], b[1], self[1])] }
        }
    }
}

impl Lanes for [f32; LANES] {
    const TILE: [usize; 2] = [2, 1];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // Without an instruction for it, a fused product would be a call of a function.
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        std::array::from_fn(|i| match fused {
            true => a[i].mul_add(b[i], self[i]),
            false => a[i] * b[i] + self[i],
        })
    }
}

/// Returns vectors of zeros. Tiles are filled by loops: closures would not be compiled for the registers.
#[inline(always)]
unsafe fn zeros<L: Lanes, const P: usize, const V: usize>() -> [[L; V]; P] {
    unsafe { [[L::splat(0.0); V]; P] }
}

/// Adds `length` products to a tile of sums: row p takes the numbers from `x[p]` on, each times V vectors of `w`,
/// whose rows are `stride` apart.
#[inline(always)]
unsafe fn multiply<L: Lanes, const P: usize, const V: usize>(
    sums: &mut [[L; V]; P],
    x: [*const f32; P],
    length: usize,
    w: *const f32,
    stride: usize,
) {
    unsafe {
        for l in 0..length {
            let w: [L; V] = load_row(w.add(l * stride));
            for p in 0..P {
                let x = L::splat(*x[p].add(l));
                for v in 0..V {
                    sums[p][v] = sums[p][v].add_product(x, w[v]);
                }
            }
        }
    }
}

/// Loads V vectors.
#[inline(always)]
unsafe fn load_row<L: Lanes, const V: usize>(from: *const f32) -> [L; V] {
    unsafe {
        let mut row = [L::splat(0.0); V];
        for v in 0..V {
            row[v] = L::load(from.add(v * LANES));
        }
        row
    }
}

/// Loads V vectors from each of P places, `stride` apart.
#[inline(always)]
unsafe fn load<L: Lanes, const P: usize, const V: usize>(
    from: *const f32,
    stride: usize,
) -> [[L; V]; P] {
    unsafe {
        let mut rows = zeros();
        for p in 0..P {
            rows[p] = load_row(from.add(p * stride));
        }
        rows
    }
}

/// Stores V vectors.
#[inline(always)]
unsafe fn store_row<L: Lanes, const V: usize>(row: [L; V], to: *mut f32) {
    unsafe {
        for v in 0..V {
            row[v].store(to.add(v * LANES));
        }
    }
}

/// Stores V vectors at each of P places, `stride` apart.
#[inline(always)]
unsafe fn store<L: Lanes, const P: usize, const V: usize>(
    rows: [[L; V]; P],
    to: *mut f32,
    stride: usize,
) {
    unsafe {
        for p in 0..P {
            store_row(rows[p], to.add(p * stride));
        }
    }
}

/// Work that is divided into tiles of some rows and some vectors.
trait Tiles {
    /// Computes a tile of P rows from `row` on and V vectors from `column` on.
    unsafe fn tile<L: Lanes, const P: usize, const V: usize>(&mut self, row: usize, column: usize);
}

/// Computes the tiles of `rows` and of the columns of a panel: its first and its width.
#[inline(always)]
unsafe fn tiles<L: Lanes>(work: &mut impl Tiles, rows: usize, (first, width): (usize, usize)) {
    let vectors = L::TILE[1].min(width / LANES);
    macro_rules! tile {
        ($rows:literal, $row:expr, $column:expr) => {{
            match vectors {
                1 => work.tile::<L, $rows, 1>($row, $column),
                2 => work.tile::<L, $rows, 2>($row, $column),
                3 => work.tile::<L, $rows, 3>($row, $column),
                _ => work.tile::<L, $rows, 4>($row, $column),
            }
            $rows
        }};
    }
    unsafe {
        for column in (first..first + width).step_by(vectors * LANES) {
            let mut row = 0;
            while row < rows {
                row += match (rows - row).min(L::TILE[0]) {
                    1 => tile!(1, row, column),
                    2 | 3 => tile!(2, row, column),
                    4 | 5 => tile!(4, row, column),
                    _ => tile!(6, row, column),
                };
            }
        }
    }
}

struct Correlate<'a> {
    out: &'a mut [f32],
    x: &'a [f32],
    windows: Windows<'a>,
    weights: Panels<'a>,
    bias: &'a [f32],
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

struct Spread<'a> {
    dx: &'a mut [f32],
    windows: Windows<'a>,
    dy: &'a [f32],
    weights: Panels<'a>,
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

struct AddGradient<'a> {
    dw: &'a mut [f32],
    x: &'a [f32],
    windows: Windows<'a>,
    dy: &'a [f32],
    channels: usize,
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

struct AddSparse<'a> {
    dw: &'a mut [f32],
    x: &'a [f32],
    windows: Windows<'a>,
    dy: &'a SparseGradients,
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

struct AddMaxima<'a> {
    dw: &'a mut [f32],
    x: &'a [f32],
    windows: Windows<'a>,
    dy: &'a [f32],
    pixels: &'a [f32],
    channels: usize,
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

struct SpreadSparse<'a> {
    dx: &'a mut [f32],
    windows: Windows<'a>,
    dy: &'a SparseGradients,
    weights: &'a [f32],
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// The registers that a test computes with.
    #[derive(Clone, Copy, Debug)]
    pub enum Registers {
        /// This processor's.
        Own,
        /// With tiles like those of AVX-512.
        Wide,
        /// Those of any processor.
        Plain,
    }

    thread_local! {
        pub static REGISTERS: Cell<Registers> = const { Cell::new(Registers::Own) };
    }

    #[derive(Clone, Copy)]
    pub struct Wide([f32; LANES]);

    impl Lanes for Wide {
        const TILE: [usize; 2] = [6, 4];

        unsafe fn splat(value: f32) -> Self {
            Self([value; LANES])
        }

        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(Lanes::load(from)) }
        }

        unsafe fn store(self, to: *mut f32) {
            unsafe { self.0.store(to) }
        }

        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { Self(self.0.add_product(a.0, b.0)) }
        }
    }

    /// Whole numbers, of which no product or sum is rounded.
    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 31 + i / 7 + seed) % 11) as f32 - 5.0).collect()
    }

    /// Packs a matrix of [rows, columns] into panels.
    fn packed(matrix: &[f32], rows: usize, columns: usize, width: usize) -> Vec<f32> {
        let mut data = Vec::new();
        for first in (0..columns).step_by(width) {
            for row in 0..rows {
                let end = columns.min(first + width);
                data.extend_from_slice(&matrix[row * columns..][first..end]);
            }
        }
        data
    }

    type Sizes = ([usize; 2], [usize; 2], [usize; 2], usize);

    /// Convolutions of several sizes: the height and width of the output, channels, filters, rows and columns of a
    /// filter, strides.
    const SIZES: [Sizes; 6] = [
        ([1, 1], [16, 16], [1, 1], 1),
        ([3, 4], [16, 32], [3, 3], 1),
        ([5, 5], [32, 48], [3, 2], 2),
        ([2, 9], [48, 80], [2, 3], 1),
        ([4, 7], [32, 64], [3, 3], 3),
        ([3, 3], [144, 16], [1, 1], 2),
    ];

    #[test]
    fn products_match_the_definition() {
        for registers in [Registers::Own, Registers::Wide, Registers::Plain] {
            REGISTERS.set(registers);
            check_products();
        }
    }

    fn check_products() {
        for ([height, width], [channels, filters], [rows, columns], step) in SIZES {
            let across = (width - 1) * step + columns;
            let down = (height - 1) * step + rows;
            let starts: Vec<u32> = (0..height * width)
                .map(|i| ((i / width * across + i % width) * step * channels) as u32)
                .collect();
            let (stride, length) = (across * channels, columns * channels);
            let windows = Windows { starts: &starts, rows, stride, length };
            let (size, pixels) = (windows.size(), starts.len());
            let x = numbers(down * across * channels, 1);
            let weights = numbers(filters * size, 2);
            let bias = numbers(filters, 3);
            let place =
                |pixel: usize, k: usize| starts[pixel] as usize + k / length * stride + k % length;

            let transposed: Vec<f32> =
                (0..size * filters).map(|i| weights[i % filters * size + i / filters]).collect();
            let width = panel_width();
            let data = packed(&transposed, size, filters, width);
            let panels = Panels { data: &data, rows: size, columns: filters, width };
            let mut out = vec![f32::NAN; pixels * filters];
            correlate(&mut out, &x, windows, panels, &bias);
            for (i, &value) in out.iter().enumerate() {
                let (pixel, filter) = (i / filters, i % filters);
                let products = (0..size).map(|k| x[place(pixel, k)] * weights[filter * size + k]);
                assert_eq!(value, bias[filter] + products.sum::<f32>());
            }

            let dy = numbers(pixels * filters, 4);
            let mut dx = numbers(x.len(), 5);
            let mut expected = dx.clone();
            for (pixel, k) in (0..pixels).flat_map(|pixel| (0..size).map(move |k| (pixel, k))) {
                let products =
                    (0..filters).map(|f| dy[pixel * filters + f] * weights[f * size + k]);
                expected[place(pixel, k)] += products.sum::<f32>();
            }
            let width = (1..=panel_width() / LANES)
                .rev()
                .find(|width| (channels / LANES).is_multiple_of(*width))
                .unwrap_or(1)
                * LANES;
            let data = packed(&weights, filters, size, width);
            let panels = Panels { data: &data, rows: filters, columns: size, width };
            spread(&mut dx, windows, &dy, panels);
            assert_eq!(dx, expected);

            let mut dw = numbers(weights.len(), 6);
            let mut expected = dw.clone();
            for (i, sum) in expected.iter_mut().enumerate() {
                let (filter, k) = (i / size, i % size);
                *sum += (0..pixels).map(|p| dy[p * filters + filter] * x[place(p, k)]).sum::<f32>();
            }
            let before = dw.clone();
            add_gradient(&mut dw, &x, windows, &dy);
            assert_eq!(dw, expected);

            // Gradients of one or no pixel for each channel, and a zero among them.
            let maxima = 3;
            let pixel = |i: usize| i * 7 % pixels;
            let found: Vec<f32> =
                (0..maxima * filters).map(|i| f32::from_bits(pixel(i) as u32)).collect();
            let values = numbers(maxima * filters, 0);
            let mut dense = vec![0.0; dy.len()];
            for (i, value) in values.iter().enumerate() {
                dense[pixel(i) * filters + i % filters] += value;
            }
            let mut sparse = SparseGradients::default();
            sparse.collect(&values, &found, &starts, filters);
            let (mut one, mut other) = (before.clone(), before);
            add_gradient(&mut one, &x, windows, &dense);
            add_sparse_gradient(&mut other, &x, windows, &sparse);
            assert_eq!(one, other);
            if rows == 1 && size <= MOST_DIRECT * LANES {
                let mut other = numbers(weights.len(), 6);
                add_maxima_gradient(&mut other, &x, windows, &values, &found);
                assert_eq!(one, other);
            }
            let (mut one, mut other) = (x.clone(), x.clone());
            spread(&mut one, windows, &dense, panels);
            spread_sparse(&mut other, windows, &sparse, &weights);
            assert_eq!(one, other);
        }
    }

    #[test]
    #[should_panic(expected = "a window beyond its picture")]
    fn a_window_beyond_its_picture_is_refused() {
        let windows = Windows { starts: &[1], rows: 2, stride: 16, length: 16 };
        add_gradient(&mut [0.0; 512], &[0.0; 32], windows, &[0.0; 16]);
    }
}
