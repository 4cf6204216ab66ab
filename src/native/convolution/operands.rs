//! The operands of the products: windows over pictures, and matrices in panels.

use super::registers::LANES;

/// The vectors of a tile of products, and of a panel.
const VECTORS: usize = 4;

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
    pub(super) fn check(&self, starts: impl Iterator<Item = u32>, values: usize) {
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

impl Panels<'_> {
    pub(super) fn check(&self) {
        assert!(self.width.is_multiple_of(LANES) && (1..=VECTORS).contains(&(self.width / LANES)));
        assert!(self.columns.is_multiple_of(LANES), "whole vectors");
        assert!(self.rows * self.columns <= self.data.len(), "a matrix beyond its slice");
    }

    /// Returns each panel's first column and width.
    pub(super) fn panels(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (columns, width) = (self.columns, self.width);
        (0..columns).step_by(width).map(move |first| (first, width.min(columns - first)))
    }
}
