//! Draws an image as text: two rows of pixels become one row of characters.

use console::style;
use seqfit::data::PictureShape;
use seqfit::data::images::{Gray, Rgb};

/// Draws an image as a network takes it. With `colored` it uses its colors or shades of gray, otherwise it shows the
/// pixels that are brighter than the middle.
pub fn half_blocks(pixels: &[u8], shape: PictureShape, colored: bool) -> String {
    let PictureShape { height, width, color } = shape;
    let picture = match color {
        true => Rgb::of_planes(pixels, shape.size()),
        false => Rgb::from(&Gray { height, width, pixels: pixels.to_vec() }),
    };
    let pixels: Vec<&[u8]> = picture.pixels.chunks_exact(3).collect();
    let mut text = String::new();
    let rows: Vec<&[&[u8]]> = pixels.chunks(width).collect();
    for pair in rows.chunks(2) {
        for column in 0..width {
            let upper = pair[0][column];
            let lower = pair.get(1).map_or(&[0; 3][..], |row| row[column]);
            if colored {
                let cell = style('▀').true_color(upper[0], upper[1], upper[2]);
                let cell = cell.on_true_color(lower[0], lower[1], lower[2]).force_styling(true);
                text += &cell.to_string();
            } else {
                text.push(match (is_bright(upper), is_bright(lower)) {
                    (false, false) => ' ',
                    (true, false) => '▀',
                    (false, true) => '▄',
                    (true, true) => '█',
                });
            }
        }
        text.push('\n');
    }
    text
}

fn is_bright(pixel: &[u8]) -> bool {
    pixel.iter().map(|&value| u32::from(value)).sum::<u32>() > 3 * 127
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pixel_rows_form_one_text_line() {
        let pixels = [0, 255, 0, 255, 0, 0, 255, 255, 200];
        let shape = PictureShape::from([3, 3]);
        assert_eq!(half_blocks(&pixels, shape, false), "▄▀ \n▀▀▀\n");
        let colored = half_blocks(&pixels, shape, true);
        assert_eq!(colored.lines().count(), 2);
        assert!(colored.contains("\u{1b}[38;2;255;255;255m"), "{colored:?}");
        assert_eq!(console::strip_ansi_codes(&colored), "▀▀▀\n▀▀▀\n");
    }

    #[test]
    fn colors_are_shown() {
        let shape = PictureShape { color: true, height: 1, width: 1 };
        assert!(half_blocks(&[9, 80, 200], shape, true).contains("\u{1b}[38;2;9;80;200m"));
    }
}
