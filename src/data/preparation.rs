//! How pictures are converted to a network's images: part of a data set, of a run, and of an exported file.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use ::image::imageops::{self, FilterType};
use ::image::{ImageBuffer, Luma};
use serde::{Deserialize, Serialize};

use super::error::{DataError, DatasetProblem, FolderProblem};
use super::images::{Gray, ImageProblem, prepare, raw};
use super::open_file::ordinary;

/// The file in a data set's folder that records it.
pub(super) const FILE: &str = "dataset.toml";
/// The longest such file that is read, in bytes: it has one line.
const MAX_BYTES: u64 = 4096;

/// How PNG and JPEG pictures are converted to images of the network's size; the images of IDX files are always
/// taken unchanged. A network predicts well only for pictures prepared like its training images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preparation {
    /// `raw`: pictures have the network's size, and their gray pixels are taken unchanged.
    #[default]
    Raw,
    /// `digit`: a single sign is found, cropped, centered and made bright on black, by
    /// [`images::prepare`](prepare); for handwritten digits and the like.
    Digit,
    /// `resize`: the whole picture in gray, scaled to the network's height and width like torchvision's
    /// `Resize((h, w))` and Keras's `image_dataset_from_directory`: nothing is cropped or
    /// padded, brightness is kept, and proportions are not.
    Resize,
}

impl Preparation {
    /// All variants, in the order in which they are listed.
    pub const ALL: [Preparation; 3] = [Preparation::Raw, Preparation::Digit, Preparation::Resize];

    /// Returns the name as it is typed and saved.
    pub fn as_str(self) -> &'static str {
        match self {
            Preparation::Raw => "raw",
            Preparation::Digit => "digit",
            Preparation::Resize => "resize",
        }
    }

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

    /// Reads the contents of a `dataset.toml`.
    ///
    /// # Errors
    /// Anything but one line `preparation = "…"` with a known name.
    pub fn from_toml(bytes: &[u8]) -> Result<Self, DatasetProblem> {
        parse(bytes).map_err(DatasetProblem::Description)
    }

    /// Returns the contents of a `dataset.toml`.
    pub(super) fn to_toml(self) -> String {
        format!("# How pictures became these images.\npreparation = \"{self}\"\n")
    }
}

impl fmt::Display for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Preparation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == name);
        known.ok_or_else(|| format!("a preparation is raw, digit or resize, found {name:?}"))
    }
}

/// The contents of a `dataset.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    preparation: Preparation,
}

/// Reads the `dataset.toml` in `folder`; `None` if it has no such file.
///
/// # Errors
/// A file that cannot be read, or that contains anything else.
pub(super) fn read(folder: &Path) -> Result<Option<Preparation>, DataError> {
    let path = folder.join(FILE);
    let file = match ordinary(&path) {
        Ok((file, _)) => file,
        Err(DataError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::read(&path, source))?;
    let wrong = |found| DataError::folder(&path, FolderProblem::Description(found));
    parse(&bytes).map(Some).map_err(wrong)
}

fn parse(bytes: &[u8]) -> Result<Preparation, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("a file of more than {MAX_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| format!("a byte that is not UTF-8 at position {}", error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let described: Result<Description, _> = toml::from_str(text);
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let other = |error: toml::de::Error| format!("something else ({})", one_line(error.message()));
    described.map(|found| found.preparation).map_err(other)
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
    fn names_are_read_as_they_are_written() {
        for preparation in Preparation::ALL {
            assert_eq!(preparation.to_string().parse(), Ok(preparation));
            assert_eq!(Preparation::from_toml(preparation.to_toml().as_bytes()), Ok(preparation));
        }
        let error = "crop".parse::<Preparation>().unwrap_err();
        assert_eq!(error, "a preparation is raw, digit or resize, found \"crop\"");
    }

    #[test]
    fn a_description_with_anything_else_is_refused() {
        let message = |bytes: &[u8]| Preparation::from_toml(bytes).unwrap_err().to_string();
        for (text, found) in [
            ("", "missing field `preparation`"),
            ("preparation = \"crop\"", "unknown variant `crop`"),
            ("preparation = 3", "something else (wanted string or table)"),
            ("preparation = \"raw\"\nlicense = \"MIT\"", "unknown field `license`"),
            ("preparation = \"raw\"\npreparation = \"raw\"", "duplicate key"),
            ("[[[", "found "),
        ] {
            let error = message(text.as_bytes());
            assert!(
                error.starts_with("dataset.toml holds one line") && error.contains(found),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        assert!(message(b"preparation = \"\xff\"").contains("not UTF-8 at position 15"));
        assert!(message(&[b'#'; 5000]).contains("more than 4096 bytes"));
        assert_eq!(
            Preparation::from_toml(b"\xef\xbb\xbfpreparation = 'resize'\r\n"),
            Ok(Preparation::Resize)
        );
    }

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
