//! Folders of small photographs in color: classes that differ in nothing but their color.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};

/// The classes, and the color in the middle of their pictures.
pub const COLORS: [(&str, [u8; 3]); 3] =
    [("blue", [40, 60, 200]), ("green", [50, 190, 60]), ("red", [210, 50, 40])];

/// Returns a picture with a disc of this color; the background, the disc's place and the size differ by `i`.
pub fn disc(color: [u8; 3], i: u32) -> RgbImage {
    let (width, height) = (44 + i * 7 % 50, 40 + i * 11 % 60);
    let (x0, y0) = (width / 2 + i % 9, height / 2 + i % 7);
    let radius = 12 + i % 6;
    RgbImage::from_fn(width, height, |x, y| {
        let inside = x.abs_diff(x0).pow(2) + y.abs_diff(y0).pow(2) < radius.pow(2);
        let noise = ((x * 31 + y * 17 + i * 7) % 23) as u8;
        let paper = 110 + (i * 13 % 40) as u8;
        Rgb(if inside { color.map(|c| c.saturating_add(noise)) } else { [paper + noise; 3] })
    })
}

/// Writes `of_each` pictures of each class, PNG and JPEG in turn.
pub fn write_discs(folder: &Path, of_each: u32) {
    for (class, (name, color)) in COLORS.into_iter().enumerate() {
        fs::create_dir_all(folder.join(name)).unwrap();
        for i in 0..of_each {
            let ending = if i % 2 == 0 { "png" } else { "jpg" };
            let picture = disc(color, i + 100 * class as u32);
            picture.save(folder.join(name).join(format!("{i}.{ending}"))).unwrap();
        }
    }
}
