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

mod add_gradient;
mod correlate;
mod operands;
mod registers;
mod sparse_gradients;
mod spread;
#[cfg(test)]
mod tests;
mod tiles;

use add_gradient::{AddGradient, AddMaxima};
use correlate::Correlate;
pub use operands::{Panels, Windows};
pub use registers::LANES;
use registers::{Kernel, Lanes, run};
pub use sparse_gradients::SparseGradients;
use sparse_gradients::{AddSparse, SpreadSparse};
use spread::Spread;

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
