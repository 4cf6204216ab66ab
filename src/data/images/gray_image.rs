//! Gray pictures.

use super::problem::ImageProblem;

/// A gray picture: 0 black, 255 white.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gray {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
    /// Row by row; `height * width` of them.
    pub pixels: Vec<u8>,
}

impl Gray {
    pub(in crate::data) fn check(&self) -> Result<(), ImageProblem> {
        let &Gray { height, width, ref pixels } = self;
        if height.checked_mul(width) == Some(pixels.len()) && !pixels.is_empty() {
            return Ok(());
        }
        Err(ImageProblem::Pixels { height, width, found: pixels.len() })
    }
}

/// Returns the picture's pixels, unchanged.
///
/// # Errors
/// A picture of another size than `shape` ([height, width]).
pub fn raw(gray: &Gray, shape: [usize; 2]) -> Result<Vec<u8>, ImageProblem> {
    const CURE: &str =
        "give one of this size, or choose --prepare resize (the whole picture) or --prepare digit";
    check_size([gray.height, gray.width], shape, CURE)?;
    gray.check()?;
    Ok(gray.pixels.clone())
}

/// Checks that a picture has the size that is wanted.
pub(super) fn check_size(
    found: [usize; 2],
    wanted: [usize; 2],
    cure: &'static str,
) -> Result<(), ImageProblem> {
    if found == wanted {
        return Ok(());
    }
    Err(ImageProblem::Size { wanted, found, cure })
}
