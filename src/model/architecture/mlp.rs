//! mlp: hidden Dense layers of the same width.

use super::build::{Build, Sizes};

pub(super) const BUILD: Build = Build { name: "mlp", sizes: &["width", "depth"], pictures: None };

/// Returns the widths of the hidden layers.
pub(super) fn hidden(sizes: &Sizes) -> Vec<usize> {
    vec![sizes.width.unwrap_or(128); sizes.depth.unwrap_or(2)]
}
