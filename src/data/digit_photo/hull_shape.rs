//! The shape of a part, by its outline.

use std::f64::consts::PI;

use super::hull_polygon::Outline;

/// The area of an outline as a fraction of the smallest rectangle around it: a 0 has 0.79.
const RECTANGULAR: f64 = 0.88;
/// The same of a sheet with a sign on it: one digit in a thousand has as much.
const SHEET: f64 = 0.9;
/// The area of a disk as a fraction of that of a circle with its circumference.
const ROUND: f64 = 0.975;
/// The inked part of a plate's outline: a bold sign leaves half of a sheet.
const SHEET_FILL: f64 = 0.5;
/// The same of a disk: it is more than a 0 has.
const DISK_FILL: f64 = 0.75;
/// A plate is at most this many times longer than wide.
const LONGEST: f64 = 2.5;
/// The inked part of a solid outline.
const SOLID: f64 = 0.85;
/// A part that is this many times longer than wide is a line.
const LINE: f64 = 14.0;

/// The measures of a part.
pub(super) struct Shape {
    pub long: f64,
    short: f64,
    /// The area of its outline in pixels.
    pub area: f64,
    rectangular: f64,
    round: f64,
    fill: f64,
    hollow: bool,
}

impl Shape {
    /// Returns the shape of the pixels at `positions` in a picture of `width` columns.
    pub fn of(positions: &[usize], width: usize) -> Self {
        let outline = Outline::of(positions, width);
        let [long, short] = outline.rectangle();
        let area = outline.area();
        let rectangular = area / (long * short).max(1.0);
        let round = 4.0 * PI * area / outline.length().powi(2).max(1.0);
        let fill = positions.len() as f64 / area.max(1.0);
        let hollow = outline.is_hollow(positions, width);
        Self { long, short, area, rectangular, round, fill, hollow }
    }

    pub fn is_line(&self) -> bool {
        self.long > LINE * self.short
    }

    pub fn is_hollow(&self) -> bool {
        self.hollow
    }

    /// Returns whether it is a rectangle with nothing inside.
    pub fn is_frame(&self) -> bool {
        self.hollow && self.rectangular > RECTANGULAR
    }

    /// Returns whether it has no gaps and is about as long as wide.
    pub fn is_solid(&self) -> bool {
        self.fill > SOLID && self.long < LONGEST * self.short
    }

    pub fn is_square(&self) -> bool {
        self.is_solid() && self.rectangular > RECTANGULAR
    }

    /// Returns whether it is a sheet or a disk that a sign may be on.
    pub fn is_plate(&self) -> bool {
        let sheet = self.rectangular > SHEET && self.fill > SHEET_FILL;
        sheet && self.long < LONGEST * self.short || self.round > ROUND && self.fill > DISK_FILL
    }
}
