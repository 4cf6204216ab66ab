//! A picture of a sign, made into what MNIST's images are.
//!
//! LeCun and others, 1998: the digit in gray, scaled in proportion into a box of 20x20, its center
//! of mass in the middle of 28x28, bright on black. A photograph has paper, shadows, noise and dust
//! beside that, and those are taken away first: the sheet is found before the ink.

mod add_margin;
mod background;
mod choose_sign;
mod connected_components;
mod find_sheets;
mod float_picture;
mod hull_cells;
mod hull_polygon;
mod hull_shape;
mod ruled_lines;
mod sign_on_sheet;
mod subtract_background;

use super::images::{Gray, ImageProblem};
use float_picture::Plane;

/// The part of the side that MNIST's box takes.
const BOX: (usize, usize) = (20, 28);
/// Targets below this have no room for a margin, and are filled.
const SMALL: usize = 20;
/// A larger picture is made smaller first: the sign still has hundreds of pixels.
const WORKING_SIDE: usize = 640;

/// The sign that `gray` shows, as an image of `shape` ([height, width]): bright on black, scaled in
/// proportion into the middle 20/28 of each side (the whole of a side when one is below 20 pixels),
/// its center of mass in the middle as far as nothing is cut off.
///
/// The background may be light or dark, unevenly lit and noisy. It may be a sheet on a table, in a
/// frame or partly in shadow, and it may be ruled: the sheet is found first, and its edges, frames
/// and lines are no ink.
///
/// # Errors
/// A blank picture, one that shows no sign on a sheet, one without pixels, or a shape without any.
pub fn prepare(gray: &Gray, shape: [usize; 2]) -> Result<Vec<u8>, ImageProblem> {
    gray.check()?;
    let [height, width] = shape;
    if height == 0 || width == 0 {
        let found = [gray.height, gray.width];
        return Err(ImageProblem::Size { wanted: shape, found, cure: "ask for a size above 0" });
    }
    let picture = Plane::at_most(WORKING_SIDE, gray);
    let sign = choose_sign::sign(&picture)?;
    Ok(placed(&stretched(fitted(sign, shape)), shape))
}

/// Scales `sign` in proportion to fill the box.
fn fitted(sign: Plane, [height, width]: [usize; 2]) -> Plane {
    let small = height.min(width) < SMALL;
    let side = |side: usize| {
        if small { side } else { (side * BOX.0 + BOX.1 / 2) / BOX.1 }
    };
    let (box_height, box_width) = (side(height), side(width));
    let scale =
        f64::min(box_height as f64 / sign.height as f64, box_width as f64 / sign.width as f64);
    let fit = |side: usize, most: usize| ((side as f64 * scale).round() as usize).clamp(1, most);
    let (height, width) = (fit(sign.height, box_height), fit(sign.width, box_width));
    sign.resized(height, width)
}

/// Brings the strokes to full brightness, as those of MNIST are: their brightest parts are white,
/// not just their brightest pixel.
fn stretched(mut sign: Plane) -> Plane {
    const STROKE: f32 = 0.25; // of the maximum: what belongs to a stroke rather than to its edge
    const FULL: f64 = 0.85; // the share of a stroke's pixels that may stay below white
    let top = sign.values.iter().copied().fold(0.0, f32::max);
    let mut stroke: Vec<f32> =
        sign.values.iter().copied().filter(|&value| value > STROKE * top).collect();
    stroke.sort_by(f32::total_cmp);
    let white = float_picture::quantile(&stroke, FULL).unwrap_or(top);
    if white > 0.0 {
        sign.values
            .iter_mut()
            .for_each(|value| *value = (*value * 255.0 / white).clamp(0.0, 255.0));
    }
    sign
}

/// Puts `sign` on black, its center of mass in the middle, or as near as it fits.
fn placed(sign: &Plane, [height, width]: [usize; 2]) -> Vec<u8> {
    let mass: f64 = sign.values.iter().map(|&value| f64::from(value)).sum();
    let moment = |position: fn(usize, usize) -> usize| {
        let at = |i: usize| position(i / sign.width, i % sign.width) as f64;
        sign.values.iter().enumerate().map(|(i, &value)| at(i) * f64::from(value)).sum::<f64>()
    };
    let start = |moment: f64, own: usize, side: usize| {
        let centre = if mass > 0.0 { moment / mass } else { own as f64 / 2.0 };
        let start = (side as f64 / 2.0 - centre).round().max(0.0) as usize;
        start.min(side - own)
    };
    let top = start(moment(|row, _| row), sign.height, height);
    let left = start(moment(|_, column| column), sign.width, width);
    let mut image = vec![0; height * width];
    for (row, values) in sign.values.chunks_exact(sign.width).enumerate() {
        let begin = (top + row) * width + left;
        for (pixel, &value) in image[begin..].iter_mut().zip(values) {
            *pixel = value.round() as u8;
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::super::digits;
    use super::*;

    /// A digit of the built-in set, `times` larger, in the middle of a sheet; bright on black.
    fn sheet(digit: &[u8], times: usize) -> Gray {
        let side = 8 * times + 10 * times;
        let mut pixels = vec![0; side * side];
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let (row, column) = ((i / side) / times, (i % side) / times);
            if (4..12).contains(&row) && (6..14).contains(&column) {
                *pixel = digit[(row - 4) * 8 + column - 6];
            }
        }
        Gray { height: side, width: side, pixels }
    }

    /// Dark on uneven, noisy paper.
    fn photographed(gray: &Gray) -> Gray {
        let mut noise = 1u32;
        let pixels = (0..).zip(&gray.pixels).map(|(i, &ink): (usize, _)| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let shade =
                190 + 50 * (i % gray.width) / gray.width - 40 * (i / gray.width) / gray.height;
            let value = shade as f64 * (1.0 - 0.8 * f64::from(ink) / 255.0);
            (value + f64::from(noise >> 24) / 25.6 - 5.0).clamp(0.0, 255.0) as u8
        });
        Gray { height: gray.height, width: gray.width, pixels: pixels.collect() }
    }

    fn correlation(a: &[u8], b: &[u8]) -> f64 {
        let mean = |x: &[u8]| x.iter().map(|&v| f64::from(v)).sum::<f64>() / x.len() as f64;
        let (ma, mb) = (mean(a), mean(b));
        let dot = |x: &[u8], mx: f64, y: &[u8], my: f64| -> f64 {
            x.iter().zip(y).map(|(&x, &y)| (f64::from(x) - mx) * (f64::from(y) - my)).sum()
        };
        dot(a, ma, b, mb) / (dot(a, ma, a, ma) * dot(b, mb, b, mb)).sqrt()
    }

    /// The largest correlation of `a` with `b` moved by up to a pixel: the center of mass is rounded to
    /// one, and a little noise decides which.
    fn likeness(a: &[u8], b: &[u8]) -> f64 {
        let moved = |down: i32, right: i32| -> Vec<u8> {
            let pixel = |i: i32| {
                let (row, column) = (i / 28 + down, i % 28 + right);
                let inside = (0..28).contains(&row) && (0..28).contains(&column);
                if inside { b[(row * 28 + column) as usize] } else { 0 }
            };
            (0..28 * 28).map(pixel).collect()
        };
        let moves = (-1..=1).flat_map(|down| (-1..=1).map(move |right| (down, right)));
        moves.map(|(down, right)| correlation(a, &moved(down, right))).fold(-1.0, f64::max)
    }

    #[test]
    fn a_photograph_gives_what_the_clean_picture_gives() {
        let (train, ..) = digits::load().unwrap();
        let mut sum = 0.0;
        for i in 0..100 {
            let clean = sheet(train.image(i), 12);
            let light = prepare(&clean, [28, 28]).unwrap();
            let dark = prepare(&photographed(&clean), [28, 28]).unwrap();
            let same = likeness(&light, &dark);
            // A pale block at the rim is ink in one and noise in the other.
            assert!(same > 0.95, "digit {i}: {same}");
            sum += same;
        }
        assert!(sum / 100.0 > 0.99, "{sum}");
    }

    #[test]
    fn the_box_the_centre_and_the_brightness_are_mnists() {
        let (train, ..) = digits::load().unwrap();
        for i in 0..40 {
            let image = prepare(&photographed(&sheet(train.image(i), 12)), [28, 28]).unwrap();
            let lit: Vec<(usize, usize)> =
                (0..28 * 28).filter(|&p| image[p] > 0).map(|p| (p / 28, p % 28)).collect();
            let side = |of: fn(&(usize, usize)) -> usize| {
                let (low, high) =
                    (lit.iter().map(of).min().unwrap(), lit.iter().map(of).max().unwrap());
                high - low + 1
            };
            let longer = side(|p| p.0).max(side(|p| p.1));
            assert!((19..=20).contains(&longer), "digit {i}: {longer}");
            assert_eq!(image.iter().max(), Some(&255), "digit {i}");
            let mass: f64 = image.iter().map(|&v| f64::from(v)).sum();
            let centre =
                lit.iter().map(|&(r, c)| (r as f64, c as f64, f64::from(image[r * 28 + c])));
            let (row, column) = centre.fold((0.0, 0.0), |(row, column), (r, c, v)| {
                (row + r * v / mass, column + c * v / mass)
            });
            assert!((row - 14.0).abs() < 1.0 && (column - 14.0).abs() < 1.0, "{i}: {row} {column}");
        }
    }

    #[test]
    fn an_eight_pixel_digit_comes_back_much_as_it_was() {
        let (train, ..) = digits::load().unwrap();
        let back = |i| {
            let image = prepare(&photographed(&sheet(train.image(i), 12)), [8, 8]).unwrap();
            correlation(&image, train.image(i))
        };
        let mean = (0..200).map(back).sum::<f64>() / 200.0;
        assert!(mean > 0.75, "{mean}");
    }

    #[test]
    fn dust_is_not_part_of_the_sign() {
        let (train, ..) = digits::load().unwrap();
        let clean = sheet(train.image(0), 12);
        let mut dusty = clean.clone();
        for (row, column) in [(20, 20), (20, 21), (21, 20), (200, 190)] {
            dusty.pixels[row * clean.width + column] = 255;
        }
        let [clean, dusty] = [clean, dusty].map(|gray| prepare(&gray, [28, 28]).unwrap());
        assert!(correlation(&clean, &dusty) > 0.99);
    }

    #[test]
    fn a_large_photograph_is_no_different() {
        let (train, ..) = digits::load().unwrap();
        let [small, large] =
            [12, 120].map(|times| prepare(&sheet(train.image(0), times), [28, 28]).unwrap());
        assert!(correlation(&small, &large) > 0.98);
    }

    /// A picture of this size and brightness with `gray` in it, its first pixel at `place`.
    fn on(size: [usize; 2], brightness: u8, gray: &Gray, place: [usize; 2]) -> Gray {
        let [height, width] = size;
        let mut pixels = vec![brightness; height * width];
        for (row, line) in gray.pixels.chunks_exact(gray.width).enumerate() {
            let start = (place[0] + row) * width + place[1];
            pixels[start..start + gray.width].copy_from_slice(line);
        }
        Gray { height, width, pixels }
    }

    fn in_a_frame(gray: &Gray, thick: usize, brightness: u8) -> Gray {
        let size = [gray.height + 2 * thick, gray.width + 2 * thick];
        on(size, brightness, gray, [thick, thick])
    }

    /// With dark lines, one every 25 rows.
    fn ruled(gray: &Gray) -> Gray {
        let line = |i: usize| if (i / gray.width) % 25 < 2 { 120 } else { 255 };
        let pixels = gray.pixels.iter().enumerate().map(|(i, &pixel)| pixel.min(line(i))).collect();
        Gray { pixels, ..*gray }
    }

    #[test]
    fn what_lies_around_the_sheet_does_not_matter() {
        type Around = fn(&Gray) -> Gray;
        let (train, ..) = digits::load().unwrap();
        let kinds: [(&str, Around); 6] = [
            ("a frame", |gray| in_a_frame(gray, 6, 0)),
            ("a thick frame", |gray| in_a_frame(gray, 40, 128)),
            ("a frame with a margin", |gray| in_a_frame(&in_a_frame(gray, 5, 30), 25, 200)),
            ("a table", |gray| on([430, 460], 60, gray, [120, 150])),
            ("a table at one side", |gray| on([216, 250], 40, gray, [0, 34])),
            ("lines", ruled),
        ];
        for (kind, change) in kinds {
            let mut sum = 0.0;
            for i in 0..30 {
                let plain = photographed(&sheet(train.image(i), 12));
                let around = prepare(&change(&plain), [28, 28]);
                sum +=
                    around.map_or(0.0, |it| correlation(&it, &prepare(&plain, [28, 28]).unwrap()));
            }
            assert!(sum / 30.0 > 0.93, "{kind}: {}", sum / 30.0);
        }
    }

    #[test]
    fn sheets_and_frames_without_a_sign_are_errors() {
        let light = Gray { height: 200, width: 260, pixels: vec![220; 52_000] };
        let pictures = [
            ("a table", on([400, 460], 60, &light, [100, 80])),
            ("a frame", in_a_frame(&light, 8, 10)),
            ("a frame with a margin", in_a_frame(&in_a_frame(&light, 5, 20), 30, 220)),
            ("a rim", on([200, 300], 40, &light, [0, 40])),
            ("lines", ruled(&light)),
        ];
        for (kind, picture) in pictures {
            let error = prepare(&picture, [28, 28]).unwrap_err();
            let known = matches!(error, ImageProblem::NoSign { .. } | ImageProblem::Blank);
            assert!(known, "{kind}: {error}");
        }
    }

    #[test]
    fn odd_pictures_do_no_harm() {
        let blank = Gray { height: 40, width: 50, pixels: vec![200; 2000] };
        assert_eq!(prepare(&blank, [28, 28]), Err(ImageProblem::Blank));
        let noise = photographed(&Gray { height: 200, width: 200, pixels: vec![0; 40_000] });
        assert_eq!(prepare(&noise, [28, 28]), Err(ImageProblem::Blank));
        for (height, width) in [(1, 1), (1, 60), (60, 1), (2, 3), (3, 2000)] {
            let pixels = (0..height * width).map(|i| if i % 7 == 3 { 255 } else { 0 }).collect();
            let gray = Gray { height, width, pixels };
            for shape in [[28, 28], [8, 8], [1, 1], [30, 20], [1, 40]] {
                if let Ok(image) = prepare(&gray, shape) {
                    assert_eq!(image.len(), shape[0] * shape[1]);
                }
            }
        }
        let torn = Gray { height: 4, width: 4, pixels: vec![0; 15] };
        assert!(prepare(&torn, [28, 28]).is_err() && prepare(&blank, [0, 28]).is_err());
    }
}
