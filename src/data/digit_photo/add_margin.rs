//! Pictures that are cut to the size of their sign, as editors export them.
//!
//! The sign reaches all four sides, or nearly, and what is left of the border is paper.

use super::connected_components::{Extent, parts};
use super::float_picture::{Plane, quantile};

/// The most of a picture that a sign takes up: a bold one takes half.
const MOST_INK: f64 = 0.7;
/// The least of the border that is paper.
const LEAST_FREE: f64 = 0.5;
/// The least of that paper that has one value: exported pictures have no noise, as photographs do.
const LEAST_EXACT: f64 = 0.5;
/// The level of strokes, as a fraction of the strongest ink: a shadow is paler.
const STROKE: f32 = 0.5;
/// The faintest ink, in levels.
const FAINT: f32 = 12.0;
/// The part of each side that the sign takes up, in twentieths.
const FILLED: usize = 17;
/// The number of times that a stroke meets one side of the picture: 3 times for an E.
const MEETINGS: usize = 3;

/// Returns the picture on a larger sheet if a sign reaches all of its sides.
pub(super) fn with_margin(picture: &Plane) -> Option<Plane> {
    let sides = sides(picture);
    let mut border: Vec<f32> = sides.iter().flatten().map(|&i| picture.values[i]).collect();
    border.sort_by(f32::total_cmp);
    let paper = quantile(&border, 0.5)?;
    let within = |most: f32| {
        let near = border.iter().filter(|&&value| (value - paper).abs() <= most);
        near.count() as f64
    };
    let free = within(FAINT);
    let is_clean = within(0.5) > LEAST_EXACT * free && free > LEAST_FREE * border.len() as f64;
    let off = |value: &f32| (value - paper).abs();
    let strongest = picture.values.iter().map(off).fold(0.0, f32::max);
    let is_filled = |level: f32| {
        let all: Vec<bool> = picture.values.iter().map(|value| off(value) > level).collect();
        is_filled(picture, &sides, &all)
    };
    (is_clean && is_filled(FAINT) && is_filled(STROKE * strongest))
        .then(|| on_larger(picture, paper))
}

/// Returns the positions at each side of the picture.
fn sides(&Plane { height, width, .. }: &Plane) -> [Vec<usize>; 4] {
    let last = (height - 1) * width;
    let row = |start: usize| (start..start + width).collect();
    let column = |start: usize| (0..height).map(|row| row * width + start).collect();
    [row(0), row(last), column(0), column(width - 1)]
}

/// Returns whether one large part of the ink reaches all sides, or nearly, at a few places.
fn is_filled(picture: &Plane, sides: &[Vec<usize>; 4], all: &[bool]) -> bool {
    let inked = all.iter().filter(|&&inked| inked).count();
    if inked as f64 > MOST_INK * all.len() as f64 {
        return false;
    }
    let meets = |side: &Vec<usize>| {
        let starts = (0..side.len()).filter(|&n| all[side[n]] && (n == 0 || !all[side[n - 1]]));
        starts.count() <= MEETINGS
    };
    let is_whole = |part: &Vec<usize>| {
        let extent = Extent::of(part.iter().copied(), picture.width);
        let [high, wide] = extent.size();
        let fills = 20 * high >= FILLED * picture.height && 20 * wide >= FILLED * picture.width;
        fills && 5 * part.len() > 4 * inked
    };
    sides.iter().all(meets)
        && parts(all.to_vec(), picture.height, picture.width).iter().any(is_whole)
}

/// Returns `picture` with paper around it.
fn on_larger(picture: &Plane, paper: f32) -> Plane {
    // A bold 0 is then too small to be taken for a sheet with a spot on it.
    let margin = picture.height.max(picture.width).div_ceil(3);
    let [height, width] = [picture.height, picture.width].map(|side| side + 2 * margin);
    let mut values = vec![paper; height * width];
    for (row, line) in picture.values.chunks_exact(picture.width).enumerate() {
        let start = (margin + row) * width + margin;
        values[start..start + picture.width].copy_from_slice(line);
    }
    Plane { height, width, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(margin: f64) -> Plane {
        let radius = |i: usize| ((i / 60) as f64 - 29.5).hypot((i % 60) as f64 - 29.5);
        let is_ink = |i: usize| (18.0..30.0 - margin).contains(&radius(i));
        let values = (0..3600).map(|i| if is_ink(i) { 0.0 } else { 255.0 }).collect();
        Plane { height: 60, width: 60, values }
    }

    #[test]
    fn a_sign_that_fills_the_picture_gets_a_margin() {
        for margin in [0.0, 3.0] {
            let larger = with_margin(&ring(margin)).unwrap();
            assert_eq!([larger.height, larger.width], [100, 100]);
            assert_eq!(larger.values[0], 255.0);
        }
    }

    #[test]
    fn a_sign_with_room_around_it_and_a_frame_get_none() {
        assert!(with_margin(&ring(8.0)).is_none());
        let mut framed = ring(8.0);
        (0..3600).filter(|i| i % 60 < 3 || i / 60 < 3).for_each(|i| framed.values[i] = 0.0);
        assert!(with_margin(&framed).is_none());
    }
}
