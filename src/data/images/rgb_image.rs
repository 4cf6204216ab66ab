//! Pictures in color.

use super::gray_image::Gray;
#[cfg(any(test, feature = "images"))]
use super::problem::ImageProblem;

/// A picture in color.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// Red, green and blue of each pixel, row by row; `3 * height * width` of them.
    pub pixels: Vec<u8>,
}

impl Rgb {
    #[cfg(any(test, feature = "images"))]
    pub(in crate::data) fn check(&self) -> Result<(), ImageProblem> {
        let &Rgb { height, width, ref pixels } = self;
        let values = height.checked_mul(width).and_then(|count| count.checked_mul(3));
        if values == Some(pixels.len()) && !pixels.is_empty() {
            return Ok(());
        }
        Err(ImageProblem::Pixels { height, width, found: pixels.len() / 3 })
    }

    /// Returns whether every pixel is a shade of gray, up to what JPEG adds to one.
    #[cfg(feature = "images")]
    pub(in crate::data) fn is_gray(&self) -> bool {
        const NEAR: u8 = 8;
        self.pixels
            .chunks_exact(3)
            .all(|pixel| pixel[0].abs_diff(pixel[1]) <= NEAR && pixel[1].abs_diff(pixel[2]) <= NEAR)
    }

    /// Returns the picture whose three planes, red, green and blue, are `planes`: an image of a network.
    pub fn of_planes(planes: &[u8], [height, width]: [usize; 2]) -> Self {
        Self { height, width, pixels: interleaved(planes) }
    }

    /// Returns its planes: all of red, then green, then blue, each row by row.
    pub fn planes(&self) -> Vec<u8> {
        let plane = |channel| self.pixels.iter().skip(channel).step_by(3).copied();
        [0, 1, 2].into_iter().flat_map(plane).collect()
    }
}

impl From<&Gray> for Rgb {
    fn from(gray: &Gray) -> Self {
        let pixels = gray.pixels.iter().flat_map(|&value| [value; 3]).collect();
        Self { height: gray.height, width: gray.width, pixels }
    }
}

/// Returns the pixels of three planes, red, green and blue of each.
fn interleaved(planes: &[u8]) -> Vec<u8> {
    let (red, rest) = planes.split_at(planes.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_and_pixels_are_the_same_picture() {
        let picture = Rgb { height: 1, width: 2, pixels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(picture.planes(), [1, 4, 2, 5, 3, 6]);
        assert_eq!(Rgb::of_planes(&picture.planes(), [1, 2]), picture);
        assert!(picture.check().is_ok());
        assert!(Rgb { height: 2, ..picture }.check().is_err());
    }
}
