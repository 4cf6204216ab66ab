//! Folders with the files, or the archive, of CIFAR-10 or CIFAR-100.

use std::path::{Path, absolute};

use super::source_kind::{SourceKind, no_options};
use crate::data::catalog::DatasetName;
use crate::data::cifar::Cifar;
use crate::data::cifar_files::Layout;
use crate::data::cifar_problem::CifarProblem;
use crate::data::error::DataError;
use crate::data::source::{Loaded, PathRequest, Source};

pub(super) const CIFAR: SourceKind = SourceKind {
    description: "a folder of CIFAR's .bin files or its .tar.gz",
    recognizes: |path| path.is_dir() && Layout::in_folder(path).is_some(),
    load: |request, _| load(request),
    load_test: |request, _| Ok(load(request)?.into()),
    load_features: None,
};

fn load(request: &PathRequest) -> Result<Loaded, DataError> {
    const PROBLEM: &str =
        "--keys, --target-names and --task describe arrays, and these are the files of CIFAR";
    no_options(request, PROBLEM)?;
    match Layout::in_folder(&request.path) {
        Some(layout) => Ok(loaded(layout, &request.path, layout.load(&request.path)?, None)),
        // It was recognized by the same.
        None => Err(DataError::NotAFile { path: request.path.clone() }),
    }
}

/// Loads the files in a folder as the known data set `name`. The archive must be the published one; of unpacked files
/// the numbers of images must be right.
///
/// # Errors
/// Other contents.
pub(in crate::data) fn known(name: DatasetName, folder: &Path) -> Result<Loaded, DataError> {
    let none = || DataError::NotAFile { path: folder.to_owned() };
    let layout = Layout::of(name).ok_or_else(none)?;
    let found = layout.load(folder)?;
    let entry = name.entry();
    let is_whole = entry.samples == [found.train.len(), found.test.len()];
    let notice = match &found.archive {
        Some((_, sha256)) if entry.files.iter().any(|file| file.sha256 == sha256) && is_whole => {
            None
        }
        None if is_whole => Some(format!(
            "{name} in {}: the unpacked files cannot be checked, because only the checksum of the archive is known. \
             Put that there to be sure.",
            folder.display()
        )),
        archive => {
            let path = archive.as_ref().map_or(folder, |(path, _)| path);
            let found = match archive {
                Some((_, sha256)) => sha256.clone(),
                None => format!("{} + {} images", found.train.len(), found.test.len()),
            };
            let problem = CifarProblem::NotKnown { dataset: name, found };
            return Err(DataError::Cifar { path: path.to_owned(), problem });
        }
    };
    Ok(loaded(layout, folder, found, notice))
}

fn loaded(layout: &Layout, folder: &Path, found: Cifar, notice: Option<String>) -> Loaded {
    let Cifar { train, test, files, .. } = found;
    let source = Source {
        name: layout.name.to_string(),
        dir: Some(absolute(folder).unwrap_or_else(|_| folder.to_owned())),
        notice,
        classes: None,
        arrays: None,
        pictures: None,
        files,
    };
    Loaded { train, test, source, notes: Vec::new() }
}
