//! Folders of IDX files, as MNIST has them.

use std::fs;
use std::path::{self, Path, PathBuf};

use super::source_kind::{SourceKind, no_pictures};
use crate::data::array_keys::ArrayKeys;
use crate::data::error::{DataError, FolderProblem};
use crate::data::idx::Digests;
use crate::data::idx_folder::{self, Folder, TestFolder};
use crate::data::source::{Loaded, LoadedTest, PathRequest, Source, SourceFile};
use crate::data::targets::TargetKind;

/// The last kind in the list: every folder that is none of the others.
pub(super) const IDX: SourceKind = SourceKind {
    description: "a folder of IDX files",
    recognizes: Path::is_dir,
    load: |request, _| load(checked(request)?),
    load_test: |request, _| load_test(checked(request)?),
    load_features: None,
};

/// Returns the folder, if nothing is asked of it that IDX files do not have.
pub(in crate::data) fn checked(request: &PathRequest) -> Result<&Path, DataError> {
    no_pictures(request)?;
    let problem = match request.targets {
        _ if request.keys != ArrayKeys::default() => {
            "--keys is for arrays, and these are IDX files"
        }
        _ if request.target_names.is_some() => {
            "--target-names is for arrays, and these are IDX files: name their classes in classes.txt"
        }
        Some(TargetKind::Labels | TargetKind::Numbers) => {
            "the targets of IDX files are classes, and others were asked for"
        }
        _ => return Ok(&request.path),
    };
    Err(DataError::folder(&request.path, FolderProblem::Options(problem)))
}

/// Loads both parts.
pub(in crate::data) fn load(dir: &Path) -> Result<Loaded, DataError> {
    let found = idx_folder::load(dir, None)?;
    let name = found.known.map_or_else(|| own_name(dir), |known| known.to_string());
    Ok(loaded(name, found, None))
}

/// Loads the test part.
pub(in crate::data) fn load_test(dir: &Path) -> Result<LoadedTest, DataError> {
    let TestFolder { dir: found, test, files, known, notes } = idx_folder::load_test(dir)?;
    let name = known.map_or_else(|| own_name(dir), |known| known.to_string());
    let source = source(name, &found, files, None);
    Ok(LoadedTest { test, source, notes })
}

/// Returns the data of a folder under this name.
pub(in crate::data) fn loaded(name: String, found: Folder, notice: Option<String>) -> Loaded {
    let Folder { dir, train, test, files, notes, .. } = found;
    Loaded { train, test, source: source(name, &dir, files, notice), notes }
}

fn source(
    name: String,
    dir: &Path,
    files: Vec<(PathBuf, Digests)>,
    notice: Option<String>,
) -> Source {
    let file = |(path, digests): (PathBuf, Digests)| {
        // The file may be in a subfolder.
        let name = path.strip_prefix(dir).unwrap_or(&path).to_string_lossy().into_owned();
        SourceFile { name, sha256: digests.contents }
    };
    let files = files.into_iter().map(file).collect();
    let dir = Some(path::absolute(dir).unwrap_or_else(|_| dir.to_owned()));
    Source { name, dir, notice, classes: None, arrays: None, pictures: None, files }
}

/// Returns the name of a folder.
pub(in crate::data) fn own_name(dir: &Path) -> String {
    // "." and ".." are not names.
    let absolute = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    file_name(&absolute)
}

/// Returns the last part of a path.
pub(in crate::data) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
