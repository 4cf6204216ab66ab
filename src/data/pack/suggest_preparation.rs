//! Suggesting the preparation that suits a folder of pictures.

use std::path::Path;

use super::super::images::ImageProblem;
use super::super::{DataError, Preparation, images};
use super::folder_layout;
use super::pack_folder::{PackConfig, Packed, pack};
use super::walk_class_folders::Walk;

/// Maximum number of pictures inspected, evenly spaced: some 30 ms each.
const LOOKED_AT: usize = 50;

/// Returns the preparation that suits a sample of the pictures in `folder`: [`Raw`](Preparation::Raw) if all of them
/// have `shape` already, [`Digit`](Preparation::Digit) if at least 49 of 50 show a single sign, else
/// [`Resize`](Preparation::Resize). Of clothes, cars or scenes many show a single thing, too: cropping those would lose
/// what distinguishes them. Files that cannot be read do not count.
///
/// # Errors
/// A folder that is not laid out as classes of pictures.
pub fn suggest(folder: &Path, shape: [usize; 2]) -> Result<Preparation, DataError> {
    let layout = folder_layout::find(folder)?;
    let mut walk = Walk::new(&layout)?;
    let mut pictures = walk.pictures(&layout.train)?;
    pictures.extend(walk.pictures(layout.test.as_slice())?);
    let step = pictures.len().div_ceil(LOOKED_AT).max(1);
    let (mut sized, mut signs, mut readable) = (0, 0, 0);
    for picture in pictures.iter().step_by(step) {
        let Ok(gray) = images::load(&picture.path) else { continue };
        readable += 1;
        sized += usize::from([gray.height, gray.width] == shape);
        signs += usize::from(Preparation::Digit.apply(&gray, shape).is_ok());
    }
    Ok(match readable {
        1.. if sized == readable => Preparation::Raw,
        _ if 50 * signs >= 49 * readable => Preparation::Digit,
        _ => Preparation::Resize,
    })
}

/// Like [`from_pictures`](super::from_pictures), with the preparation that [`suggest`] returns in place of the
/// config's. If a picture outside the sample cannot be used with it, all pictures are scaled as a whole instead, even
/// if bad ones are to be skipped, and a note says so.
///
/// # Errors
/// Like [`from_pictures`](super::from_pictures).
pub fn from_pictures_suggested(
    folder: &Path,
    config: &PackConfig,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    let suggested = suggest(folder, config.shape)?;
    let config = PackConfig { preparation: suggested, ..*config };
    let skips = |error: &DataError| config.skip && !is_of_preparation(error);
    match pack(folder, &config, &skips, progress) {
        Err(error) if is_of_preparation(&error) && suggested != Preparation::Resize => {
            let config = PackConfig { preparation: Preparation::Resize, ..config };
            let mut packed = super::from_pictures(folder, &config, progress)?;
            packed.notes.insert(0, started_over(suggested, &error));
            Ok(packed)
        }
        packed => packed,
    }
}

/// Returns whether another preparation could use the picture.
fn is_of_preparation(error: &DataError) -> bool {
    let DataError::Image { problem, .. } = error else { return false };
    matches!(problem, ImageProblem::Blank | ImageProblem::NoSign { .. } | ImageProblem::Size { .. })
}

fn started_over(suggested: Preparation, error: &DataError) -> String {
    format!(
        "all pictures are scaled as a whole, because one does not suit --prepare {suggested} ({error}): \
         --prepare {suggested} --skip-bad leaves such pictures out"
    )
}
