//! A folder of pictures read as it is: size, color and preparation by what the pictures are, where nothing else was
//! asked for.

use std::path::Path;

use super::pack_folder::{FoundPictures, Kept, PackConfig, Packed};
use super::suggest_preparation::{or_resized, sample, suggested};
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::picture_options::PictureOptions;
use crate::data::{Preparation, images};
use crate::message_text::drawn_test_part;

/// The size of gray images that show one sign, as MNIST has it.
const OF_SIGNS: [usize; 2] = [28, 28];
/// The sizes of other images, the larger one if most pictures are at least as large.
const LARGER: usize = 64;
const SMALLER: usize = 32;
/// Pictures that all have the same size keep it up to this length of a side.
const KEPT: usize = 96;

/// A folder that was read.
pub(in crate::data) struct ReadFolder {
    pub packed: Packed,
    /// How it was read, completely.
    pub options: PictureOptions,
}

/// Reads both parts of a folder.
pub(in crate::data) fn read_folder(
    folder: &Path,
    asked: PictureOptions,
    kept: Kept<'_>,
) -> Result<ReadFolder, DataError> {
    let found = FoundPictures::of(folder)?;
    let lacks_test = found.lacks_test();
    let (config, mut notes) = choose(&found, asked, None);
    let mut packed = packed(&found, asked, &config, kept, &mut |_, _| {})?;
    if lacks_test {
        notes.push(format!(
            "there is no test folder: {} to train on",
            drawn_test_part("image", packed.test.len(), packed.train.len())
        ));
    }
    notes.extend(packed.skipped.iter().map(|(_, why)| format!("left out: {why}")));
    packed.notes.extend(notes);
    let options = options_of(&config, packed.train.preparation());
    Ok(ReadFolder { packed, options })
}

/// Reads `folder` like [`from_pictures`](super::from_pictures), with the size, color and preparation that suit a sample of
/// its pictures where `asked` has none: pictures in color as for training, and gray ones of 28x28. `test_share` and `seed`
/// are those of a [`PackConfig`].
///
/// # Errors
/// Like [`from_pictures`](super::from_pictures).
pub fn from_pictures_suggested(
    folder: &Path,
    asked: PictureOptions,
    (test_share, seed): (f64, u64),
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    let found = FoundPictures::of(folder)?;
    let (config, notes) = choose(&found, asked, Some(OF_SIGNS));
    let config = PackConfig { test_share, seed, ..config };
    let mut packed = packed(&found, asked, &config, Kept::InMemory(None), progress)?;
    if config.color {
        packed.notes.extend(notes);
    }
    Ok(packed)
}

/// Reads both parts. If no preparation was asked for, all pictures are used.
fn packed(
    found: &FoundPictures,
    asked: PictureOptions,
    config: &PackConfig,
    kept: Kept<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    match asked.preparation {
        Some(_) => found.pack(config, &|_| config.skip, kept, progress),
        None => or_resized(found, config, kept, progress),
    }
}

/// Reads a folder that has a part to test on and none to train on: its images, how they were read, and notes; none if it
/// has other parts.
pub(in crate::data) fn read_test(
    folder: &Path,
    asked: PictureOptions,
    cache: Option<&Path>,
) -> Result<Option<(Dataset, PictureOptions, Vec<String>)>, DataError> {
    let Some(found) = FoundPictures::of_test(folder)? else { return Ok(None) };
    let (config, mut notes) = choose(&found, asked, None);
    let (images, more) = found.whole(&config, cache)?;
    notes.extend(more);
    let options = options_of(&config, images.preparation());
    Ok(Some((images, options, notes)))
}

/// Returns how pictures were read, completely.
fn options_of(config: &PackConfig, preparation: Preparation) -> PictureOptions {
    PictureOptions {
        size: Some(config.shape),
        preparation: Some(preparation),
        gray: Some(!config.color),
        skip_bad: config.skip,
    }
}

/// The pictures of a sample.
#[derive(Default)]
struct Looks {
    /// \[height, width\] of each that can be read.
    sizes: Vec<[usize; 2]>,
    /// Whether one is in color.
    color: bool,
}

impl Looks {
    fn at(found: &FoundPictures) -> Self {
        let mut looks = Self::default();
        for picture in sample(found) {
            let Ok(rgb) = images::load_rgb(&picture.path) else { continue };
            looks.sizes.push([rgb.height, rgb.width]);
            looks.color = looks.color || !rgb.is_gray();
        }
        looks
    }

    /// Returns the size that all have.
    fn common_size(&self) -> Option<[usize; 2]> {
        let first = self.sizes.first()?;
        self.sizes.iter().all(|size| size == first).then_some(*first)
    }

    /// Returns a size that suits most of them.
    fn usual_size(&self) -> [usize; 2] {
        let mut sides: Vec<usize> = self.sizes.iter().map(|[h, w]| *h.min(w)).collect();
        sides.sort_unstable();
        let median = sides.get(sides.len() / 2).copied().unwrap_or(LARGER);
        [if median >= LARGER { LARGER } else { SMALLER }; 2]
    }
}

/// Returns how pictures become images, those in gray of a usual size if there is one, and notes on what was chosen.
fn choose(
    found: &FoundPictures,
    asked: PictureOptions,
    gray_size: Option<[usize; 2]>,
) -> (PackConfig, Vec<String>) {
    let of = |shape, color, preparation| PackConfig {
        shape,
        color,
        preparation,
        skip: asked.skip_bad,
        ..PackConfig::default()
    };
    if let PictureOptions {
        size: Some(size),
        preparation: Some(preparation),
        gray: Some(gray),
        ..
    } = asked
    {
        return (of(size, !gray, preparation), Vec::new());
    }
    let looks = Looks::at(found);
    let makes_gray = asked.preparation == Some(Preparation::Digit);
    let color = looks.color && asked.gray != Some(true) && !makes_gray;
    let kept = gray_size
        .filter(|_| !color)
        .or_else(|| looks.common_size())
        .filter(|size| size.iter().all(|&side| side <= KEPT));
    let signs = || !color && suggested(found, OF_SIGNS) == Preparation::Digit;
    let (size, preparation) = match (asked.size.or(kept), asked.preparation) {
        (Some(size), Some(preparation)) => (size, preparation),
        // Pictures of this size stay as they are, and later ones of any size can be predicted.
        (Some(size), None) if color => (size, Preparation::Resize),
        (Some(size), None) => (size, suggested(found, size)),
        (None, Some(Preparation::Digit)) => (OF_SIGNS, Preparation::Digit),
        (None, Some(preparation)) => (looks.usual_size(), preparation),
        (None, None) if signs() => (OF_SIGNS, Preparation::Digit),
        (None, None) => (looks.usual_size(), Preparation::Resize),
    };
    let [height, width] = size;
    let gray = match (looks.color, color) {
        (true, true) => "in color",
        (true, false) => "turned gray",
        (false, _) => "in gray",
    };
    let note = format!(
        "pictures become images of {height}x{width} {gray}, {} (--image-size, --prepare and --gray change that)",
        preparation.in_words()
    );
    (of(size, color, preparation), vec![note])
}
