//! PNG pictures, for files and for embedding in pages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::ReportError;
use crate::data::PictureShape;
use crate::data::images::Rgb;

/// An RGB picture, row by row.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Creates a picture of one color.
    pub fn filled(width: usize, height: usize, color: [u8; 3]) -> Self {
        Self { width, height, rgb: color.repeat(width * height) }
    }

    /// Fills a square of `side` pixels whose upper left corner is `[x, y]`.
    pub fn square(&mut self, [x, y]: [usize; 2], side: usize, color: [u8; 3]) {
        for row in y..y + side {
            let start = 3 * (row * self.width + x);
            self.rgb[start..start + 3 * side].copy_from_slice(&color.repeat(side));
        }
    }

    /// Returns the picture reduced by a factor of `by`: each pixel is the mean of a square of `by` x `by`.
    pub fn reduced(&self, by: usize) -> Self {
        let (width, height) = (self.width / by, self.height / by);
        let mut rgb = Vec::with_capacity(3 * width * height);
        let mut sums = vec![0u32; 3 * width];
        let area = (by * by) as u32;
        for rows in self.rgb.chunks_exact(3 * self.width * by) {
            sums.fill(0);
            for row in rows.chunks_exact(3 * self.width) {
                for (sum, square) in sums.chunks_exact_mut(3).zip(row.chunks_exact(3 * by)) {
                    for pixel in square.chunks_exact(3) {
                        sum.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += u32::from(v));
                    }
                }
            }
            rgb.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
        }
        Self { width, height, rgb }
    }

    /// Returns the picture as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        encode(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
    }
}

/// Returns an image as a network takes it, gray or in color, as a PNG file.
pub(super) fn image_png(pixels: &[u8], shape: PictureShape) -> Result<Vec<u8>, ReportError> {
    let PictureShape { height, width, color } = shape;
    match color {
        true => {
            let pixels = Rgb::of_planes(pixels, shape.size()).pixels;
            encode(&pixels, width, height, ExtendedColorType::Rgb8)
        }
        false => encode(pixels, width, height, ExtendedColorType::L8),
    }
}

fn encode(
    pixels: &[u8],
    width: usize,
    height: usize,
    color: ExtendedColorType,
) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(pixels, width as u32, height as u32, color)
        .map_err(|error| ReportError::Draw {
            what: "a picture".to_owned(),
            why: error.to_string(),
        })?;
    Ok(bytes)
}

/// Returns a PNG file as a data URI.
pub(super) fn data_uri(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_is_the_mean_of_squares() {
        let mut picture = Picture::filled(4, 2, [0, 100, 10]);
        picture.square([0, 0], 2, [200, 100, 10]);
        picture.square([2, 0], 1, [255, 100, 10]);
        let small = picture.reduced(2);
        assert_eq!((small.width, small.height), (2, 1));
        assert_eq!(small.rgb, [200, 100, 10, 64, 100, 10]);
    }

    #[test]
    fn a_png_is_read_back() {
        let picture = Picture::filled(3, 2, [1, 2, 3]);
        let back = image::load_from_memory(&picture.png().unwrap()).unwrap().into_rgb8();
        assert_eq!((back.dimensions(), back.into_raw()), ((3, 2), picture.rgb.clone()));
    }
}
