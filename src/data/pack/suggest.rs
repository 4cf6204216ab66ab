//! Suggesting the preparation that suits a folder of pictures.

use std::path::Path;

use super::super::{DataError, Preparation, images};
use super::layout::{self, Layout};
use super::walk::{self, LeftOut};

/// Maximum number of pictures inspected, evenly spaced: some 30 ms each.
const LOOKED_AT: usize = 50;

/// Returns [`Digit`](Preparation::Digit) if at least four of five pictures in `folder` show a single sign, else
/// [`Resize`](Preparation::Resize): pictures of signs may have some bad ones among them, while of photographs,
/// textures or scenes the preparation of digits rejects most. Files that cannot be read do not count.
///
/// # Errors
/// A folder that is not laid out as classes of pictures.
pub fn suggest(folder: &Path, shape: [usize; 2]) -> Result<Preparation, DataError> {
    let Layout { train, test, .. } = layout::find(folder)?;
    let mut left_out = LeftOut::default();
    let mut pictures = Vec::new();
    for part in train.iter().chain(&test) {
        pictures.extend(walk::pictures(part, &mut left_out)?);
    }
    let step = pictures.len().div_ceil(LOOKED_AT).max(1);
    let (mut signs, mut readable) = (0, 0);
    for picture in pictures.iter().step_by(step) {
        let Ok(gray) = images::load(&picture.path) else { continue };
        readable += 1;
        signs += usize::from(Preparation::Digit.apply(&gray, shape).is_ok());
    }
    Ok(if 5 * signs >= 4 * readable { Preparation::Digit } else { Preparation::Resize })
}
