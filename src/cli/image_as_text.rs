//! Draws an image as text: two rows of pixels become one row of characters.

use console::style;

/// Draws an image of u8 pixels, row by row with `width` pixels per row. With `colored` it uses shades of gray,
/// otherwise it shows the pixels that are brighter than the middle.
pub fn half_blocks(pixels: &[u8], width: usize, colored: bool) -> String {
    let mut text = String::new();
    let rows: Vec<&[u8]> = pixels.chunks(width).collect();
    for pair in rows.chunks(2) {
        for column in 0..width {
            let upper = pair[0][column];
            let lower = pair.get(1).map_or(0, |row| row[column]);
            if colored {
                let cell = style('▀').true_color(upper, upper, upper);
                let cell = cell.on_true_color(lower, lower, lower).force_styling(true);
                text += &cell.to_string();
            } else {
                text.push(match (upper > 127, lower > 127) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pixel_rows_form_one_text_line() {
        let pixels = [0, 255, 0, 255, 0, 0, 255, 255, 200];
        assert_eq!(half_blocks(&pixels, 3, false), "▄▀ \n▀▀▀\n");
        let colored = half_blocks(&pixels, 3, true);
        assert_eq!(colored.lines().count(), 2);
        assert!(colored.contains("\u{1b}[38;2;255;255;255m"), "{colored:?}");
        assert_eq!(console::strip_ansi_codes(&colored), "▀▀▀\n▀▀▀\n");
    }
}
