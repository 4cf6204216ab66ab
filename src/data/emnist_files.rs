//! The files of EMNIST: their names, and where they are in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::catalog::{self, DatasetName};
use super::cifar_files::Place;
use super::find_files::Role;

/// The archive of all six.
pub(super) const ARCHIVE: &str = "gzip.zip";
/// The folders below the one that is named in which the files may be: as the archive and as torchvision unpack them.
const BELOW: [&str; 3] = ["gzip", "raw", "EMNIST/raw"];

/// Returns the possible names of a file; the first that exists counts.
pub(super) fn names_of(set: DatasetName, role: Role) -> Vec<String> {
    let names = role.names();
    let used = names.iter().filter(|name| !name.starts_with("t10k"));
    used.map(|name| format!("{set}-{name}")).collect()
}

/// Returns the sets that have at least one of these files.
pub(super) fn sets_of(files: &[String]) -> Vec<DatasetName> {
    let has = |set: &DatasetName| {
        let mut names = Role::ALL.iter().flat_map(|role| names_of(*set, *role));
        names.any(|name| files.iter().any(|file| file.eq_ignore_ascii_case(&name)))
    };
    catalog::all()
        .iter()
        .map(|entry| entry.name)
        .filter(|set| set.is_emnist())
        .filter(has)
        .collect()
}

/// Returns the sets whose files are in `folder` itself.
pub(super) fn sets_in(folder: &Path) -> Vec<DatasetName> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    sets_of(&names.collect::<Vec<_>>())
}

/// Returns where the files of a set are, or without one those of any: unpacked, else in the archive.
pub(super) fn place(folder: &Path, set: Option<DatasetName>) -> Option<Place> {
    let below = BELOW.iter().map(|below| folder.join(below));
    let folders: Vec<PathBuf> = [folder.to_owned()].into_iter().chain(below).collect();
    let has = |folder: &&PathBuf| {
        let sets = sets_in(folder);
        set.map_or(!sets.is_empty(), |set| sets.contains(&set))
    };
    if let Some(unpacked) = folders.iter().find(has) {
        return Some(Place::Folder(unpacked.clone()));
    }
    let archive = folders.iter().map(|folder| folder.join(ARCHIVE)).find(|path| path.is_file());
    archive.map(Place::Archive)
}
