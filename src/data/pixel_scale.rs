//! How pixels are scaled.

/// The divisor that scales a pixel of 255 to 1: the whole scaling. Exports carry this number.
pub const SCALE: f64 = 255.0;
