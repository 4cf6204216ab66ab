//! The choice among the signs that a picture may show.
//!
//! Each sheet is looked at with dark ink and with light. A table has a sheet on it for its ink, and
//! that sheet's sign is meant; a sheet that a shadow cuts in two is looked at as a whole when its
//! halves show nothing.

use super::super::images::ImageProblem;
use super::ground::Ground;
use super::ink::{Ink, Sign};
use super::parts::Extent;
use super::plane::Plane;
use super::sheet::{Sheet, sheets};

pub(super) const NOTHING: &str = "nothing that stands out";
pub(super) const CUT_OFF: &str = "nothing but what the edges of a sheet cut off";

/// Returns the sign that `picture` shows, cut out.
///
/// # Errors
/// A picture without anything that can be a sign.
pub(super) fn sign(picture: &Plane) -> Result<Plane, ImageProblem> {
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
    found.best(picture)
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

    fn best(self, picture: &Plane) -> Result<Plane, ImageProblem> {
        let Self { signs, reasons } = self;
        let meant = signs.iter().filter(|sign| !signs.iter().any(|other| holds(sign, other)));
        let quality = |sign: &&Sign| quality(sign, picture);
        let best = meant.max_by(|a, b| quality(a).total_cmp(&quality(b)));
        best.map(|sign| sign.values.clone()).ok_or_else(|| {
            let reason = reasons.into_iter().find(|&reason| reason != NOTHING);
            reason.map_or(ImageProblem::Blank, |found| ImageProblem::NoSign { found })
        })
    }
}

fn area(extent: &Extent) -> usize {
    extent.size().into_iter().product()
}

/// Returns whether `sign` leaves the middle of the sheet at `place` free, which lies on its own.
fn surrounds(sign: &Sign, place: &Extent, width: usize) -> bool {
    let [quarter_high, quarter_wide] = place.size().map(|side| side / 4);
    let middle = Extent {
        top: place.top + quarter_high,
        bottom: place.bottom - quarter_high,
        left: place.left + quarter_wide,
        right: place.right - quarter_wide,
    };
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
