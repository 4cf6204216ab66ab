//! Pictures made into images of a network's size.

use ::image::imageops::{self, FilterType};
use ::image::{ImageBuffer, Luma};

use super::gray_image::{Gray, raw};
use super::problem::ImageProblem;
use crate::data::digit_photo::prepare;
use crate::data::image_preparation::Preparation;

impl Preparation {
    /// Converts `gray` to an image of `shape` ([height, width]), row by row.
    ///
    /// # Errors
    /// For [`Raw`](Self::Raw) a picture of another size; for [`Digit`](Self::Digit) one that shows no
    /// sign; for all of them a picture without pixels, or a shape without any.
    pub fn apply(self, gray: &Gray, shape: [usize; 2]) -> Result<Vec<u8>, ImageProblem> {
        match self {
            Preparation::Raw => raw(gray, shape),
            Preparation::Digit => prepare(gray, shape),
            Preparation::Resize => resized(gray, shape),
        }
    }
}

/// Scales the whole picture without aliasing: each pixel is a mean of those that it covers.
fn resized(gray: &Gray, shape: [usize; 2]) -> Result<Vec<u8>, ImageProblem> {
    gray.check()?;
    let found = [gray.height, gray.width];
    if shape == found {
        return Ok(gray.pixels.clone());
    }
    let size = |cure: &'static str| ImageProblem::Size { wanted: shape, found, cure };
    let [Ok(height), Ok(width)] = shape.map(u32::try_from) else {
        return Err(size("ask for a smaller size"));
    };
    if height == 0 || width == 0 {
        return Err(size("ask for a size above 0"));
    }
    let view = ImageBuffer::<Luma<u8>, &[u8]>::from_raw(
        gray.width as u32,
        gray.height as u32,
        &gray.pixels,
    );
    let view = view.ok_or_else(|| size("give a smaller picture"))?;
    Ok(imageops::resize(&view, width, height, FilterType::Triangle).into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_takes_the_pixels_unchanged_or_refuses_the_size() {
        let gray = Gray { height: 2, width: 3, pixels: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(Preparation::Raw.apply(&gray, [2, 3]), Ok(gray.pixels.clone()));
        assert_eq!(Preparation::Resize.apply(&gray, [2, 3]), Ok(gray.pixels.clone()));
        let error = Preparation::Raw.apply(&gray, [3, 2]).unwrap_err().to_string();
        let cure = "found 2x3: give one of this size, or choose --prepare resize";
        assert!(error.contains("images of 3x2") && error.contains(cure), "{error}");
    }

    #[test]
    fn resize_keeps_the_whole_picture_and_its_brightness() {
        // Four quarters, up to the very edge of a picture that is not square.
        let quarter = |row: usize, column: usize| [[40, 200], [120, 90]][row / 30][column / 45];
        let pixels = (0..60 * 90).map(|i| quarter(i / 90, i % 90)).collect();
        let gray = Gray { height: 60, width: 90, pixels };
        let image = Preparation::Resize.apply(&gray, [10, 8]).unwrap();
        for (corner, value) in [(0, 40), (7, 200), (72, 120), (79, 90)] {
            assert_eq!(image[corner], value, "{image:?}");
        }
        // A uniform picture has no digit, and becomes a uniform image.
        let even = Gray { height: 9, width: 7, pixels: vec![77; 63] };
        assert_eq!(Preparation::Resize.apply(&even, [4, 4]), Ok(vec![77; 16]));
        assert_eq!(Preparation::Digit.apply(&even, [4, 4]), Err(ImageProblem::Blank));
    }

    #[test]
    fn odd_sizes_do_no_harm() {
        for (height, width) in [(1, 1), (1, 60), (60, 1), (2, 3), (3, 2000)] {
            let gray = Gray { height, width, pixels: vec![9; height * width] };
            for shape in [[28, 28], [1, 1], [30, 20], [1, 40]] {
                let image = Preparation::Resize.apply(&gray, shape);
                assert_eq!(image, Ok(vec![9; shape[0] * shape[1]]));
            }
            let refused = |shape| Preparation::Resize.apply(&gray, shape).is_err();
            assert!(refused([0, 4]) && refused([4, 0]) && refused([usize::MAX, 4]));
        }
        let torn = Gray { height: 4, width: 4, pixels: vec![0; 15] };
        assert!(Preparation::ALL.iter().all(|kind| kind.apply(&torn, [4, 4]).is_err()));
    }
}
