//! Folders of pictures: one folder per class, or `train` and `test` with those.

use std::path::Path;
use std::path::absolute;

use rand::seq::SliceRandom;

use super::idx::own_name;
use super::source_kind::SourceKind;
use crate::data::Locations;
use crate::data::array_keys::ArrayKeys;
use crate::data::dataset::Dataset;
use crate::data::error::{DataError, FolderProblem};
use crate::data::find_files;
use crate::data::pack::{self, Kept, ReadFolder};
use crate::data::picture_options::PictureOptions;
use crate::data::source::{Loaded, LoadedTest, PathRequest, Source, SourceFile};
use crate::data::targets::TargetKind;
use crate::rng::{self, Purpose};

pub(super) const PICTURES: SourceKind = SourceKind {
    description: "a folder of pictures with a folder for each class",
    recognizes: find_files::holds_pictures,
    load,
    load_test,
    load_features: None,
};

fn load(request: &PathRequest, locations: &Locations) -> Result<Loaded, DataError> {
    let (dir, kept) = (checked(request)?, Kept::InMemory(locations.cache.as_deref()));
    let ReadFolder { packed, options } = pack::read_folder(dir, request.pictures, kept)?;
    let (train, test) = (packed.train, packed.test);
    let source = source(dir, options, &[("train", &train), ("test", &test)]);
    Ok(Loaded { train, test, source, notes: packed.notes })
}

/// Lists both parts, whose pictures are decoded when they are read. Those to train on are in a shuffled order, so that the
/// blocks of a streamed data set have pictures of all classes.
pub(in crate::data) fn load_in_files(request: &PathRequest) -> Result<Loaded, DataError> {
    let dir = checked(request)?;
    let ReadFolder { packed, options } = pack::read_folder(dir, request.pictures, Kept::InFiles)?;
    let mut order: Vec<u32> = (0..packed.train.len() as u32).collect();
    order.shuffle(&mut rng::stream(0, Purpose::Shuffle, &[0]));
    let (train, test, notes) = (packed.train.select(&order)?, packed.test, packed.notes);
    Ok(Loaded { train, test, source: source(dir, options, &[]), notes })
}

/// Loads the pictures of a folder to test on, which needs no others; of a folder without one those that are drawn.
fn load_test(request: &PathRequest, locations: &Locations) -> Result<LoadedTest, DataError> {
    let dir = checked(request)?;
    match pack::read_test(dir, request.pictures, locations.cache.as_deref())? {
        Some((test, options, notes)) => {
            let source = source(dir, options, &[("test", &test)]);
            Ok(LoadedTest { test, source, notes })
        }
        None => Ok(load(request, locations)?.into()),
    }
}

fn source(dir: &Path, options: PictureOptions, parts: &[(&str, &Dataset)]) -> Source {
    // The pictures may be many, so the contents of each part are recorded as one file.
    let file = |&(name, part): &(&str, &Dataset)| SourceFile {
        name: name.to_owned(),
        sha256: part.digest(),
    };
    Source {
        name: own_name(dir),
        dir: Some(absolute(dir).unwrap_or_else(|_| dir.to_owned())),
        notice: None,
        classes: None,
        arrays: None,
        pictures: Some(options),
        files: parts.iter().map(file).collect(),
    }
}

/// Returns the folder, if nothing is asked of it that pictures do not have.
fn checked(request: &PathRequest) -> Result<&Path, DataError> {
    let problem = match request.targets {
        _ if request.keys != ArrayKeys::default() => {
            "--keys is for arrays, and this is a folder of pictures"
        }
        _ if request.target_names.is_some() => {
            "--target-names is for arrays, and this is a folder of pictures: rename the folders of the classes"
        }
        Some(TargetKind::Labels | TargetKind::Numbers) => {
            "the targets of a folder of pictures are classes, and others were asked for"
        }
        _ => return Ok(&request.path),
    };
    Err(DataError::folder(&request.path, FolderProblem::Options(problem)))
}
