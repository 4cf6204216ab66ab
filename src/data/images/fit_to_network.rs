//! Pictures made into images of a network's size.

use ::image::imageops::{self, FilterType};
use ::image::{GenericImageView, ImageBuffer, Luma, Pixel, Rgb as RgbPixel};

use super::gray_image::{Gray, check_size, raw};
use super::problem::ImageProblem;
use super::rgb_image::Rgb;
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
            Preparation::Resize | Preparation::Crop | Preparation::Letterbox => {
                gray.check()?;
                self.fit::<Luma<u8>>(&gray.pixels, [gray.height, gray.width], shape)
            }
        }
    }

    /// Converts a picture in color to an image of `shape` ([height, width]): all of red row by row, then green and
    /// blue.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply); [`Digit`](Self::Digit), which makes gray images.
    pub fn apply_rgb(self, picture: &Rgb, shape: [usize; 2]) -> Result<Vec<u8>, ImageProblem> {
        picture.check()?;
        let found = [picture.height, picture.width];
        let pixels = match self {
            Preparation::Digit => return Err(ImageProblem::DigitInColor),
            Preparation::Raw => {
                const CURE: &str = "give one of this size, or choose --prepare resize (the whole \
                                    picture), crop or letterbox";
                check_size(found, shape, CURE)?;
                return Ok(picture.planes());
            }
            _ => self.fit::<RgbPixel<u8>>(&picture.pixels, found, shape)?,
        };
        Ok(Rgb { height: shape[0], width: shape[1], pixels }.planes())
    }

    /// Scales a picture without aliasing: each pixel is a mean of those that it covers.
    fn fit<P: Pixel<Subpixel = u8> + 'static>(
        self,
        pixels: &[u8],
        found: [usize; 2],
        shape: [usize; 2],
    ) -> Result<Vec<u8>, ImageProblem> {
        if shape == found {
            return Ok(pixels.to_vec());
        }
        let size = |cure: &'static str| ImageProblem::Size { wanted: shape, found, cure };
        let [Ok(height), Ok(width)] = shape.map(u32::try_from) else {
            return Err(size("ask for a smaller size"));
        };
        if height == 0 || width == 0 {
            return Err(size("ask for a size above 0"));
        }
        let view = ImageBuffer::<P, &[u8]>::from_raw(found[1] as u32, found[0] as u32, pixels);
        let view = view.ok_or_else(|| size("give a smaller picture"))?;
        Ok(match self {
            Preparation::Crop => cropped(&view, [height, width]),
            Preparation::Letterbox => letterboxed(&view, [height, width]),
            _ => imageops::resize(&view, width, height, FilterType::Triangle),
        }
        .into_raw())
    }
}

type View<'a, P> = ImageBuffer<P, &'a [u8]>;

/// Scales the largest part in the middle that has the proportions of `size`: Keras's `smart_resize`.
fn cropped<P: Pixel<Subpixel = u8> + 'static>(
    view: &View<'_, P>,
    [height, width]: [u32; 2],
) -> ImageBuffer<P, Vec<u8>> {
    let (rows, columns) = (view.height(), view.width());
    let in_proportion = |side: u32, to: u32, of: u32| {
        (u64::from(side) * u64::from(to) / u64::from(of)).clamp(1, u64::from(u32::MAX)) as u32
    };
    let crop_rows = in_proportion(columns, height, width).min(rows);
    let crop_columns = in_proportion(rows, width, height).min(columns);
    let (x, y) = ((columns - crop_columns) / 2, (rows - crop_rows) / 2);
    let part = view.view(x, y, crop_columns, crop_rows);
    imageops::resize(&*part, width, height, FilterType::Triangle)
}

/// Scales the whole picture in its proportions, and puts it into the middle of a black image.
fn letterboxed<P: Pixel<Subpixel = u8> + 'static>(
    view: &View<'_, P>,
    [height, width]: [u32; 2],
) -> ImageBuffer<P, Vec<u8>> {
    let (rows, columns) = (f64::from(view.height()), f64::from(view.width()));
    let scale = (f64::from(height) / rows).min(f64::from(width) / columns);
    let side = |length: f64, most: u32| ((length * scale).round() as u32).clamp(1, most);
    let (inner_width, inner_height) = (side(columns, width), side(rows, height));
    let inner = imageops::resize(view, inner_width, inner_height, FilterType::Triangle);
    let mut image = ImageBuffer::new(width, height);
    let (x, y) = ((width - inner_width) / 2, (height - inner_height) / 2);
    imageops::replace(&mut image, &inner, i64::from(x), i64::from(y));
    image
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
        let wide = Gray { height: 10, width: 40, pixels: vec![200; 400] };
        for shape in [[8, 8], [1, 5], [30, 2]] {
            assert_eq!(Preparation::Crop.apply(&wide, shape), Ok(vec![200; shape[0] * shape[1]]));
        }
        let torn = Gray { height: 4, width: 4, pixels: vec![0; 15] };
        assert!(Preparation::ALL.iter().all(|kind| kind.apply(&torn, [4, 4]).is_err()));
    }

    #[test]
    fn crop_and_letterbox_keep_proportions() {
        // Three squares side by side: red, green, blue.
        let color = |x: usize| [[250, 0, 0], [0, 250, 0], [0, 0, 250]][x / 20];
        let pixels = (0..20 * 60).flat_map(|i| color(i % 60)).collect();
        let picture = Rgb { height: 20, width: 60, pixels };
        let cropped = Preparation::Crop.apply_rgb(&picture, [4, 4]).unwrap();
        assert_eq!(cropped, [[0; 16], [250; 16], [0; 16]].concat());
        let boxed = Preparation::Letterbox.apply_rgb(&picture, [9, 9]).unwrap();
        let row = |plane: usize, y: usize| &boxed[81 * plane + 9 * y..][..9];
        assert_eq!((row(0, 2), row(0, 6)), (&[0; 9][..], &[0; 9][..]));
        assert_eq!((row(0, 4)[0], row(1, 4)[4], row(2, 4)[8]), (250, 250, 250));
        let whole = Preparation::Resize.apply_rgb(&picture, [6, 6]).unwrap();
        assert_eq!((whole[0], whole[72 + 5], whole[5]), (250, 250, 0));
        // At the edge of a color its neighbor is mixed in.
        assert!((200..250).contains(&whole[36 + 2]), "{whole:?}");
        let error = Preparation::Digit.apply_rgb(&picture, [4, 4]).unwrap_err().to_string();
        assert!(error.contains("makes gray images"), "{error}");
        let error = Preparation::Raw.apply_rgb(&picture, [4, 4]).unwrap_err().to_string();
        assert!(error.contains("found 20x60: give one of this size"), "{error}");
    }
}
