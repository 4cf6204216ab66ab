//! The cubic B-splines of the elastic part.

/// Spacing of the elastic part's control points, in pixels.
pub(super) const SPACING: f32 = 7.0;

/// A cubic B-spline along one axis, at every pixel.
#[derive(Clone, Debug)]
pub(super) struct Spline {
    /// Control points that have any influence.
    pub points: usize,
    /// For each pixel the first of its four control points, and their weights.
    pub taps: Vec<(usize, [f32; 4])>,
}

impl Spline {
    pub fn new(pixels: usize) -> Self {
        let taps: Vec<_> = (0..pixels)
            .map(|pixel| {
                let place = pixel as f32 / SPACING;
                let (first, t) = (place.floor(), place.fract());
                let weights = [
                    (1.0 - t).powi(3) / 6.0,
                    (3.0 * t.powi(3) - 6.0 * t.powi(2) + 4.0) / 6.0,
                    (-3.0 * t.powi(3) + 3.0 * t.powi(2) + 3.0 * t + 1.0) / 6.0,
                    t.powi(3) / 6.0,
                ];
                (first as usize, weights)
            })
            .collect();
        let points = taps.last().map_or(0, |(first, _)| first + 4);
        Self { points, taps }
    }
}
