//! Occlusion maps drawn over their pictures.

use super::ReportError;
use super::png::Picture;
use crate::data::PictureShape;
use crate::data::images::Rgb;
use crate::evaluate::OcclusionMap;

/// The smallest fall that is drawn: of smaller ones the map would show noise in full color.
const LEAST: f64 = 0.01;

/// The color of the largest fall, and how much of it covers the picture there.
const HEAT: [f64; 3] = [255.0, 138.0, 0.0];
const COVER: f64 = 0.85;

/// The side to which pictures in a file are enlarged, in whole steps, and the gap between them.
const ENLARGED: usize = 256;
const GAP: usize = 8;

/// Returns a PNG file of the picture as the network takes it, and beside it the same in gray with orange where covering
/// it lowers the probability, in proportion to the fall; without orange if no fall reaches one percentage point.
/// `pixels` are those of one picture, in color all of red row by row, then green and blue.
///
/// # Errors
/// Pixels that are not those of one picture of this shape, or a picture that is too large to draw.
pub fn occlusion_png(
    pixels: &[u8],
    shape: PictureShape,
    map: &OcclusionMap,
) -> Result<Vec<u8>, ReportError> {
    if pixels.len() != shape.values() || pixels.is_empty() {
        let what = "a picture with its occlusion map".to_owned();
        let why = format!("it has {} pixel values, found {}", shape.values(), pixels.len());
        return Err(ReportError::Draw { what, why });
    }
    let PictureShape { height, width, .. } = shape;
    let by = (ENLARGED / height.max(width)).max(1);
    let mut sheet = Picture::filled(2 * width * by + GAP, height * by, [255; 3]);
    let second = drawn(pixels, shape, map);
    for (i, (first, second)) in
        in_color(pixels, shape).chunks_exact(3).zip(second.rgb.chunks_exact(3)).enumerate()
    {
        let (x, y) = (i % width * by, i / width * by);
        sheet.square([x, y], by, [first[0], first[1], first[2]]);
        sheet.square([x + width * by + GAP, y], by, [second[0], second[1], second[2]]);
    }
    sheet.png()
}

/// Returns the pixels of a picture, three values each.
fn in_color(pixels: &[u8], shape: PictureShape) -> Vec<u8> {
    match shape.color {
        true => Rgb::of_planes(pixels, shape.size()).pixels,
        false => pixels.iter().flat_map(|&value| [value; 3]).collect(),
    }
}

/// Returns the picture in shades of gray, and orange where covering it lowers the probability, in proportion to the
/// fall; none if no fall is large enough.
pub(super) fn overlay(pixels: &[u8], shape: PictureShape, map: &OcclusionMap) -> Option<Picture> {
    (map.largest_fall() >= LEAST).then(|| drawn(pixels, shape, map))
}

fn drawn(pixels: &[u8], shape: PictureShape, map: &OcclusionMap) -> Picture {
    let PictureShape { height, width, .. } = shape;
    // Falls that are too small are all drawn as none.
    let full = Some(map.largest_fall()).filter(|&fall| fall >= LEAST).unwrap_or(f64::INFINITY);
    let mut picture = Picture::filled(width, height, [0; 3]);
    for (i, pixel) in in_color(pixels, shape).chunks_exact(3).enumerate() {
        let gray = luma(pixel);
        let middle = |place: usize, side: usize| (place as f64 + 0.5) / side as f64;
        let fall = map.fall_at([middle(i / width, height), middle(i % width, width)]);
        let cover = COVER * (fall / full).clamp(0.0, 1.0);
        let mixed = HEAT.map(|heat| (gray + (heat - gray) * cover).round() as u8);
        picture.square([i % width, i / width], 1, mixed);
    }
    picture
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
        // Both side by side, each pixel a square.
        for (fall, color) in [(0.5, [228, 129, 11]), (0.001, [76; 3])] {
            let png = occlusion_png(&red, shape, &map(fall)).unwrap();
            let sheet = image::load_from_memory(&png).unwrap().to_rgb8();
            assert_eq!(sheet.dimensions(), (2 * 256 + 8, 256));
            let at = |x, y| sheet.get_pixel(x, y).0;
            assert_eq!(
                (at(31, 31), at(255, 255), at(258, 9)),
                ([255, 0, 0], [255, 0, 0], [255; 3])
            );
            assert_eq!((at(264, 0), at(519, 255)), (color, [76; 3]));
        }
        let error = occlusion_png(&red[1..], shape, &map(0.5)).unwrap_err().to_string();
        assert!(error.contains("192 pixel values, found 191"), "{error}");
    }
}
