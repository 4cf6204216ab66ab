//! Suggesting the preparation that suits a folder of pictures.

use std::path::Path;

use super::super::images::ImageProblem;
use super::super::{DataError, Preparation, images};
use super::pack_folder::{FoundPictures, Kept, PackConfig, Packed};
use super::walk_class_folders::Picture;

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
    Ok(suggested(&FoundPictures::of(folder)?, shape))
}

/// Returns the pictures that are inspected.
pub(super) fn sample(found: &FoundPictures) -> impl Iterator<Item = &Picture> {
    let count: usize = found.pictures.iter().map(Vec::len).sum();
    found.pictures.iter().flatten().step_by(count.div_ceil(LOOKED_AT).max(1))
}

/// Returns the preparation that suits gray images of `shape`.
pub(super) fn suggested(found: &FoundPictures, shape: [usize; 2]) -> Preparation {
    let (mut sized, mut signs, mut readable) = (0, 0, 0);
    for picture in sample(found) {
        let Ok(gray) = images::load(&picture.path) else { continue };
        readable += 1;
        sized += usize::from([gray.height, gray.width] == shape);
        signs += usize::from(Preparation::Digit.apply(&gray, shape).is_ok());
    }
    match readable {
        1.. if sized == readable => Preparation::Raw,
        _ if 50 * signs >= 49 * readable => Preparation::Digit,
        _ => Preparation::Resize,
    }
}

/// Packs pictures with a preparation that was chosen for a sample of them. If another picture cannot be used with it,
/// all are scaled as a whole instead, even if bad ones are to be skipped, and a note says so.
pub(super) fn or_resized(
    found: &FoundPictures,
    config: &PackConfig,
    kept: Kept<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    let suggested = config.preparation;
    let skips = |error: &DataError| config.skip && !is_of_preparation(error);
    match found.pack(config, &skips, kept, progress) {
        Err(error) if is_of_preparation(&error) && suggested != Preparation::Resize => {
            let config = PackConfig { preparation: Preparation::Resize, ..*config };
            let mut packed = found.pack(&config, &|_| config.skip, kept, progress)?;
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
