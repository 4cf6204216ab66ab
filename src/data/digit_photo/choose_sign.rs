//! The choice among the signs that a picture may show.
//!
//! Each sheet is looked at with dark ink and with light. A table has a sheet on it for its ink, and
//! that sheet's sign is meant; a sheet that a shadow cuts in two is looked at as a whole when its
//! halves show nothing.

use super::super::images::ImageProblem;
use super::add_margin;
use super::connected_components::Extent;
use super::find_sheets::{Sheet, sheets};
use super::float_picture::Plane;
use super::sign_on_sheet::{CUT_OFF, Ink, NOTHING, Sign};
use super::subtract_background::Ground;

/// How often a plate is looked at for a sign on it: a sheet on a folder on a table.
const DEPTH: usize = 2;

/// Returns the sign that `picture` shows, cut out.
///
/// # Errors
/// A picture without anything that can be a sign.
pub(super) fn sign(picture: &Plane) -> Result<Plane, ImageProblem> {
    match add_margin::with_margin(picture) {
        Some(picture) => found(&picture, DEPTH).map(|sign| sign.values),
        None => found(picture, DEPTH).map(|sign| sign.values),
    }
}

/// Returns the best sign, or the one on it if it is a plate with one.
fn found(picture: &Plane, depth: usize) -> Result<Sign, ImageProblem> {
    let best = candidates(picture).best(picture)?;
    let inner = on_plate(&best, picture, depth);
    Ok(inner.unwrap_or(best))
}

/// Returns the sign on a sheet that looks like a sign itself.
fn on_plate(best: &Sign, picture: &Plane, depth: usize) -> Option<Sign> {
    const MARGIN: usize = 16; // the part of the plate's side that is added around it
    const BORDER: usize = 32; // the part of its side that is free all around the sign
    let side = best.extent.longer_side();
    let extent = best.extent.grown(1 + side / MARGIN);
    let depth = depth.checked_sub(1).filter(|_| best.is_plate)?;
    let mut inner = found(&picture.cropped(&extent), depth).ok()?;
    inner.extent = inner.extent.moved(extent.top, extent.left);
    let free = best.extent.shrunk(1 + side / BORDER);
    // A spot without gaps is what a bold 0 encloses, and one at the edge what a 3 does.
    let on_it = 4 * area(&inner.sheet) > 3 * area(&best.extent) && free.holds(&inner.extent);
    (on_it && !inner.is_solid).then_some(inner)
}

fn candidates(picture: &Plane) -> Found {
    let (pairs, single): (Vec<Sheet>, Vec<Sheet>) =
        sheets(picture).into_iter().partition(|sheet| sheet.halves);
    let mut found = Found::default();
    single.iter().filter_map(|sheet| Ground::on(sheet, picture)).for_each(|g| found.add(&g));
    found.drop_surrounding(&single, picture);
    if found.signs.is_empty() || found.reasons.contains(&CUT_OFF) {
        pairs.iter().filter_map(|sheet| Ground::on(sheet, picture)).for_each(|g| found.add(&g));
    }
    if found.signs.is_empty() {
        found.add(&Ground::whole(picture));
    }
    found.drop_frames(&single, picture);
    found
}

/// The signs found so far, and why others are none.
#[derive(Default)]
struct Found {
    signs: Vec<Sign>,
    reasons: Vec<&'static str>,
}

impl Found {
    fn add(&mut self, ground: &Ground) {
        for lighter in [false, true] {
            match Ink::of(ground, lighter).sign() {
                Ok(sign) => self.signs.push(sign),
                Err(reason) => self.reasons.push(reason),
            }
        }
    }

    /// Drops signs around another sheet: theirs is a table, with a sheet's shadow or edges.
    fn drop_surrounding(&mut self, sheets: &[Sheet], picture: &Plane) {
        let size = [picture.height, picture.width];
        let places: Vec<Extent> = sheets.iter().map(|sheet| sheet.place(size)).collect();
        self.signs.retain(|sign| !places.iter().any(|place| surrounds(sign, place, size[1])));
    }

    /// Drops signs that lie closely around another sheet: its shadow and edges, with nothing on it.
    fn drop_frames(&mut self, sheets: &[Sheet], picture: &Plane) {
        let size = [picture.height, picture.width];
        let places: Vec<Extent> = sheets.iter().map(|sheet| sheet.place(size)).collect();
        let frames = |sign: &Sign, place: &Extent| {
            let close = 4 * area(place) > 3 * area(&sign.extent);
            close && sign.extent.holds(&middle(place)) && surrounds(sign, place, size[1])
        };
        self.signs.retain(|sign| !places.iter().any(|place| frames(sign, place)));
    }

    fn best(self, picture: &Plane) -> Result<Sign, ImageProblem> {
        let Self { mut signs, reasons } = self;
        let meant = |&n: &usize| !signs.iter().any(|other| holds(&signs[n], other));
        let quality = |n: usize| quality(&signs[n], picture);
        let best =
            (0..signs.len()).filter(meant).max_by(|&a, &b| quality(a).total_cmp(&quality(b)));
        best.map(|n| signs.swap_remove(n)).ok_or_else(|| {
            let reason = reasons.into_iter().find(|&reason| reason != NOTHING);
            reason.map_or(ImageProblem::Blank, |found| ImageProblem::NoSign { found })
        })
    }
}

fn area(extent: &Extent) -> usize {
    extent.size().into_iter().product()
}

/// Returns the middle half of both sides.
fn middle(place: &Extent) -> Extent {
    let [quarter_high, quarter_wide] = place.size().map(|side| side / 4);
    Extent {
        top: place.top + quarter_high,
        bottom: place.bottom - quarter_high,
        left: place.left + quarter_wide,
        right: place.right - quarter_wide,
    }
}

/// Returns whether `sign` leaves the middle of the sheet at `place` free, which lies on its own.
fn surrounds(sign: &Sign, place: &Extent, width: usize) -> bool {
    let middle = middle(place);
    let nested = 10 * area(place) < 9 * area(&sign.sheet) && sign.sheet.holds(place);
    let inked = || sign.pixels.iter().any(|&i| middle.has(i / width, i % width));
    nested && 2 * area(place) > area(&sign.extent) && !inked()
}

/// Returns whether `sign` is the sheet that `other` lies on, or its shadow and edges around `other`.
fn holds(sign: &Sign, other: &Sign) -> bool {
    let place = sign.extent.grown(2 + sign.extent.longer_side() / 25);
    let around = place.holds(&other.extent) && 5 * area(&sign.extent) > 6 * area(&other.extent);
    let inside = place.holds(&other.sheet) || around && sign.sheet.holds(&other.sheet);
    let smaller = 10 * area(&other.sheet) < 9 * area(&sign.sheet);
    let shorter = other.sheet.size().into_iter().min().unwrap_or(0);
    inside && smaller && 10 * other.extent.longer_side() > shorter && !other.is_cut_off
}

/// Returns how likely this sign is meant: large, strong, whole and alone on its sheet.
fn quality(sign: &Sign, picture: &Plane) -> f64 {
    let size = sign.extent.longer_side() as f64 / picture.height.max(picture.width) as f64;
    let whole = if sign.is_cut_off { 0.3 } else { 1.0 };
    whole * f64::from(sign.dominance * sign.contrast / (sign.contrast + 40.0)) * size.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 200;

    /// Returns whether a pixel is ink of a cross at this place.
    fn cross(row: usize, column: usize) -> bool {
        let [down, right] = [row, column].map(|at| at.abs_diff(100));
        down.max(right) < 24 && down.min(right) < 5
    }

    fn drawn(value: impl Fn(usize, usize) -> f32) -> Plane {
        let values = (0..SIDE * SIDE).map(|i| value(i / SIDE, i % SIDE)).collect();
        Plane { height: SIDE, width: SIDE, values }
    }

    fn size_of_sign(picture: &Plane) -> [usize; 2] {
        let sign = sign(picture).unwrap();
        [sign.height, sign.width]
    }

    fn ink(row: usize, column: usize, paper: f32) -> f32 {
        if cross(row, column) { 30.0 } else { paper }
    }

    #[test]
    fn a_circle_around_the_sign_is_no_ink() {
        let radius = |row: usize, column: usize| (row as f64 - 100.0).hypot(column as f64 - 100.0);
        let ring = |row, column| (68.0..72.0).contains(&radius(row, column));
        let picture = drawn(|r, c| if ring(r, c) { 30.0 } else { ink(r, c, 230.0) });
        assert!(size_of_sign(&picture).iter().all(|side| (45..=51).contains(side)));
    }

    #[test]
    fn a_small_sheet_or_disk_on_a_table_is_no_sign() {
        let sheet = |row: usize, column: usize| row.abs_diff(100).max(column.abs_diff(100)) < 38;
        let disk =
            |row: usize, column: usize| (row as f64 - 100.0).hypot(column as f64 - 100.0) < 42.0;
        for plate in [&sheet as &dyn Fn(usize, usize) -> bool, &disk] {
            let picture = drawn(|r, c| if plate(r, c) { ink(r, c, 230.0) } else { 60.0 });
            assert!(size_of_sign(&picture).iter().all(|side| (45..=51).contains(side)));
        }
    }
}
