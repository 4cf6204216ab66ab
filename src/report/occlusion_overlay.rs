//! Occlusion maps drawn over their pictures.

use super::png::Picture;
use crate::data::PictureShape;
use crate::data::images::Rgb;
use crate::evaluate::OcclusionMap;

/// The smallest fall that is drawn: of smaller ones the map would show noise in full color.
const LEAST: f64 = 0.01;

/// The color of the largest fall, and how much of it covers the picture there.
const HEAT: [f64; 3] = [255.0, 138.0, 0.0];
const COVER: f64 = 0.85;

/// Returns the picture in shades of gray, and orange where covering it lowers the probability, in proportion to the
/// fall; none if no fall is large enough.
pub(super) fn overlay(pixels: &[u8], shape: PictureShape, map: &OcclusionMap) -> Option<Picture> {
    let largest = map.largest_fall();
    if largest < LEAST {
        return None;
    }
    let PictureShape { height, width, color } = shape;
    let gray: Vec<f64> = match color {
        true => Rgb::of_planes(pixels, shape.size()).pixels.chunks_exact(3).map(luma).collect(),
        false => pixels.iter().map(|&value| f64::from(value)).collect(),
    };
    let mut picture = Picture::filled(width, height, [0; 3]);
    for (i, gray) in gray.into_iter().enumerate() {
        let middle = |place: usize, side: usize| (place as f64 + 0.5) / side as f64;
        let fall = map.fall_at([middle(i / width, height), middle(i % width, width)]);
        let cover = COVER * (fall / largest).clamp(0.0, 1.0);
        let mixed = HEAT.map(|heat| (gray + (heat - gray) * cover).round() as u8);
        picture.square([i % width, i / width], 1, mixed);
    }
    Some(picture)
}

/// Returns the brightness of a pixel: ITU-R BT.601.
fn luma(pixel: &[u8]) -> f64 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f64::from);
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_where_the_falls_are_and_small_falls_are_not_drawn() {
        let map = |fall: f64| OcclusionMap {
            places: [2, 2],
            probability: 0.9,
            falls: vec![fall, 0.0, -0.1, 0.0],
        };
        let gray = [100; 64];
        let shape = PictureShape { color: false, height: 8, width: 8 };
        let picture = overlay(&gray, shape, &map(0.5)).unwrap();
        let at = |x: usize, y: usize| &picture.rgb[3 * (8 * y + x)..][..3];
        assert_eq!(
            (at(0, 0), at(7, 7), at(0, 7)),
            (&[232, 132, 15][..], &[100; 3][..], &[100; 3][..])
        );
        assert!(overlay(&gray, shape, &map(0.001)).is_none());
        let shape = PictureShape { color: true, height: 8, width: 8 };
        let red = [[255; 64], [0; 64], [0; 64]].concat();
        let picture = overlay(&red, shape, &map(0.5)).unwrap();
        assert_eq!(picture.rgb[3 * 63..], [76; 3]);
    }
}
