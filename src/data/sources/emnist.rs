//! Folders with the files, or the archive, of EMNIST.

use std::path::Path;

use super::idx;
use super::source_kind::{SourceKind, no_options};
use crate::data::catalog::DatasetName;
use crate::data::cifar_files::Place;
use crate::data::emnist;
use crate::data::emnist_files::{ARCHIVE, place};
use crate::data::emnist_problem::EmnistProblem;
use crate::data::error::{DataError, FolderProblem};
use crate::data::find_files;
use crate::data::open_file::ordinary;
use crate::data::sha256;
use crate::data::source::{Loaded, PathRequest};

pub(super) const EMNIST: SourceKind = SourceKind {
    description: "a folder of EMNIST's files or its gzip.zip",
    recognizes: |path| match place(path, None) {
        Some(Place::Folder(_)) => true,
        // IDX files beside an archive are what is meant.
        Some(Place::Archive(_)) => !find_files::has_some(path),
        None => false,
    },
    load: |request, _| load(request),
    load_test: |request, _| Ok(load(request)?.into()),
    load_features: None,
};

fn load(request: &PathRequest) -> Result<Loaded, DataError> {
    const PROBLEM: &str =
        "--keys, --target-names and --task describe arrays, and these are the files of EMNIST";
    no_options(request, PROBLEM)?;
    let folder = &request.path;
    let Some(place) = place(folder, request.known) else {
        return Err(match request.known {
            Some(name) => missing(name, folder),
            // It was recognized by the same.
            None => DataError::NotAFile { path: folder.clone() },
        });
    };
    let name = match request.known {
        Some(name) => name,
        None => only_set(&place)?,
    };
    Ok(idx::loaded(name.to_string(), emnist::load(folder, &place, name)?, None))
}

/// Returns the set whose files are in a place.
fn only_set(place: &Place) -> Result<DatasetName, DataError> {
    let (Place::Folder(path) | Place::Archive(path)) = place;
    let problem = match emnist::sets_in(place)?[..] {
        [only] => return Ok(only),
        [] => EmnistProblem::Archive("one without its files".to_owned()),
        ref several => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            EmnistProblem::Several(names.join(", "))
        }
    };
    Err(DataError::Emnist { path: path.clone(), problem })
}

/// Loads the files in a folder as the known data set `name`. The archive must be the published one; of unpacked files
/// the numbers of images must be right.
///
/// # Errors
/// Other contents.
pub(in crate::data) fn known(name: DatasetName, folder: &Path) -> Result<Loaded, DataError> {
    let (entry, place) = (name.entry(), place(folder, Some(name)));
    let place = place.ok_or_else(|| missing(name, folder))?;
    let notice = match &place {
        Place::Archive(path) => {
            // Before anything in it is read.
            let sha256 = sha256::sha256(ordinary(path)?.0);
            let found = sha256.map_err(|source| DataError::read(path, source))?;
            if entry.files.iter().all(|file| file.sha256 != found) {
                let problem = FolderProblem::NotKnown { dataset: name, found };
                return Err(DataError::folder(path, problem));
            }
            None
        }
        Place::Folder(path) => Some(format!(
            "{name} in {}: the unpacked files cannot be checked, because only the checksum of {ARCHIVE} is known. \
             Put that there instead to be sure.",
            path.display()
        )),
    };
    let found = emnist::load(folder, &place, name)?;
    let counts = [found.train.len(), found.test.len()];
    if counts != entry.samples {
        let [wanted, found] =
            [entry.samples, counts].map(|[train, test]| format!("{train} + {test}"));
        let problem = EmnistProblem::Count { dataset: name, wanted, found };
        return Err(DataError::Emnist { path: folder.to_owned(), problem });
    }
    Ok(idx::loaded(name.to_string(), found, notice))
}

fn missing(name: DatasetName, folder: &Path) -> DataError {
    let problem = EmnistProblem::Missing { dataset: name };
    DataError::Emnist { path: folder.join(ARCHIVE), problem }
}
