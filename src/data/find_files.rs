//! Finding the files of a data set in the folder that the user names.
//!
//! A name counts only if it is that of an ordinary file, or of a link to one. Kaggle's MNIST has a folder
//! `train-images-idx3-ubyte/` with the file in it; torchvision keeps the files in `MNIST/raw/`, and an unpacked
//! archive often has one folder around all of them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{DataError, FolderProblem};
use super::open_file::ordinary;
use super::pack::is_picture;
use super::stream::shard_names::has_shards;

/// Maximum number of folders searched below the one that was named.
const MOST_FOLDERS: usize = 200;
/// Maximum depth of the search: `MNIST/raw` is 2.
const DEPTH: usize = 2;

/// The four files, in the order in which they are listed everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    TrainImages,
    TrainLabels,
    TestImages,
    TestLabels,
}

impl Role {
    pub const ALL: [Role; 4] =
        [Role::TrainImages, Role::TrainLabels, Role::TestImages, Role::TestLabels];
    pub const TEST: [Role; 2] = [Role::TestImages, Role::TestLabels];

    pub fn is_images(self) -> bool {
        matches!(self, Role::TrainImages | Role::TestImages)
    }

    /// Returns its possible names. The first that exists counts: a plain file before a compressed one,
    /// which takes longer to read.
    pub fn names(self) -> Vec<String> {
        let parts: &[&str] = match self {
            Role::TrainImages | Role::TrainLabels => &["train"],
            Role::TestImages | Role::TestLabels => &["t10k", "test"],
        };
        let (what, ranks): (_, &[u8]) =
            if self.is_images() { ("images", &[3, 4]) } else { ("labels", &[1]) };
        let mut names = Vec::new();
        for part in parts {
            for rank in ranks {
                for separator in ["-", "."] {
                    for end in ["", ".gz"] {
                        names.push(format!("{part}-{what}{separator}idx{rank}-ubyte{end}"));
                    }
                }
            }
        }
        names
    }

    /// Returns the name of the file that is written, for images in color or gray ones.
    pub fn name(self, color: bool) -> String {
        let name = self.names().swap_remove(0);
        if color { name.replace("idx3", "idx4") } else { name }
    }

    /// Returns the file in `folder`, `None` if nothing there has its name.
    ///
    /// # Errors
    /// A folder that cannot be read, or something other than a file under the name.
    pub fn find(self, folder: &Path) -> Result<Option<PathBuf>, DataError> {
        named_file(folder, &self.names())
    }
}

/// Returns the first ordinary file in `folder` that has one of `names`, in their order and in any case; if there
/// is only a folder of that name, the file in it.
pub(super) fn named_file(folder: &Path, names: &[String]) -> Result<Option<PathBuf>, DataError> {
    let found = with_names(folder, names)?;
    if let Some(file) = found.iter().find(|path| path.is_file()) {
        return Ok(Some(file.clone()));
    }
    for inner in found.iter().filter(|path| path.is_dir()) {
        if let Some(file) = with_names(inner, names)?.into_iter().find(|path| path.is_file()) {
            return Ok(Some(file));
        }
    }
    // A broken link, a pipe, or a folder without the file: the error names it.
    found.first().map(|path| ordinary(path).map(|_| path.clone())).transpose()
}

/// Returns the entry of `folder` with this name, or else one that differs only in case; `None` if there is none.
pub(super) fn exact_or_any_case(folder: &Path, name: &str) -> Result<Option<PathBuf>, DataError> {
    Ok(with_names(folder, &[name.to_owned()])?.into_iter().next())
}

fn with_names(folder: &Path, names: &[String]) -> Result<Vec<PathBuf>, DataError> {
    let there = entries(folder).map_err(|source| DataError::read(folder, source))?;
    let alike = |name: &String| {
        let exact = there.iter().filter(|entry| *entry == name).cloned().collect::<Vec<_>>();
        let others =
            there.iter().filter(|entry| *entry != name && entry.eq_ignore_ascii_case(name));
        [exact, others.cloned().collect()].concat()
    };
    Ok(names.iter().flat_map(alike).map(|name| folder.join(name)).collect())
}

/// Returns the names in a folder, sorted.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Returns whether `folder` itself has all four files.
pub(super) fn has_all(folder: &Path) -> bool {
    has(folder, &Role::ALL)
}

fn has(folder: &Path, roles: &[Role]) -> bool {
    roles.iter().all(|role| matches!(role.find(folder), Ok(Some(_))))
}

/// Files of a data set, and the folder that holds them.
pub(super) struct Files {
    pub dir: PathBuf,
    /// In the order of the requested roles.
    pub paths: Vec<PathBuf>,
}

/// Returns the files for `roles` in `folder`, or in the only folder below it that has them all.
///
/// # Errors
/// The first that is missing, with the contents of the folder and the folders below it that have the files.
pub(super) fn files(folder: &Path, roles: &[Role]) -> Result<Files, DataError> {
    let dir = holder(folder, &|dir| has_some(dir), &|dir| has(dir, roles))?;
    let find = |role: &Role| role.find(&dir)?.ok_or_else(|| missing(folder, *role, roles));
    let paths = roles.iter().map(find).collect::<Result<_, DataError>>()?;
    Ok(Files { dir, paths })
}

/// Returns whether `folder` itself has one of the four files.
pub(super) fn has_some(folder: &Path) -> bool {
    Role::ALL.iter().any(|role| !matches!(role.find(folder), Ok(None)))
}

fn missing(folder: &Path, role: Role, roles: &[Role]) -> DataError {
    if has_shards(folder) {
        return DataError::folder(folder, FolderProblem::Shards);
    }
    lacking(folder, role.names().swap_remove(0), &|dir| has(dir, roles))
}

/// Returns the error for a folder without the file `wanted`: its contents, and the folders below it that have all.
pub(super) fn lacking(folder: &Path, wanted: String, all: &dyn Fn(&Path) -> bool) -> DataError {
    let mut holds = match listing(folder) {
        Ok(holds) => holds,
        Err(source) => return DataError::read(folder, source),
    };
    let below: Vec<_> = below(folder).into_iter().filter(|dir| all(dir)).collect();
    if !below.is_empty() {
        let names = below.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>();
        holds = format!("{holds}; all of them are in {}: give that folder", names.join(" and in "));
    } else if !has_some(folder) {
        let problem = pictures(folder).unwrap_or(FolderProblem::NoData(holds));
        return DataError::folder(folder, problem);
    }
    DataError::folder(folder, FolderProblem::Missing { wanted, holds })
}

/// Returns the problem of a folder that holds pictures instead of a data set.
fn pictures(folder: &Path) -> Option<FolderProblem> {
    let has_pictures = |dir: &Path| {
        let names = entries(dir).unwrap_or_default();
        names.iter().map(|name| dir.join(name)).any(|path| is_picture(&path) && path.is_file())
    };
    if below(folder).iter().any(|dir| has_pictures(dir)) {
        return Some(FolderProblem::Pictures(folder.to_owned()));
    }
    has_pictures(folder).then_some(FolderProblem::LoosePictures)
}

/// Returns whether a folder is one of pictures in folders: neither it nor a folder below it holds a data set of IDX
/// files.
#[cfg(feature = "images")]
pub(super) fn holds_pictures(folder: &Path) -> bool {
    let is_idx = |dir: &Path| has_some(dir) || has_shards(dir);
    if !folder.is_dir() || is_idx(folder) || below(folder).iter().any(|dir| is_idx(dir)) {
        return false;
    }
    let mut waiting = vec![folder.to_owned()];
    for _ in 0..MOST_FOLDERS {
        let Some(dir) = waiting.pop() else { return false };
        for name in entries(&dir).unwrap_or_default() {
            let path = dir.join(&name);
            if dir != folder && is_picture(&path) && path.is_file() {
                return true;
            }
            if !is_clutter(&name) && path.is_dir() {
                waiting.push(path);
            }
        }
    }
    false
}

/// Returns `folder` if it holds `some` of the files, else the only folder below it that holds `all`, else
/// `folder` again.
///
/// # Errors
/// A folder that cannot be read.
pub(super) fn holder(
    folder: &Path,
    some: &dyn Fn(&Path) -> bool,
    all: &dyn Fn(&Path) -> bool,
) -> Result<PathBuf, DataError> {
    fs::read_dir(folder).map_err(|source| DataError::read(folder, source))?;
    if some(folder) {
        return Ok(folder.to_owned());
    }
    let mut below = below(folder);
    below.retain(|dir| all(dir));
    Ok(match below.len() {
        1 => below.remove(0),
        _ => folder.to_owned(),
    })
}

/// Returns the folders below one, each once even if links lead to it; hidden ones are left out.
fn below(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    seen.extend(fs::canonicalize(folder));
    let mut level = vec![folder.to_owned()];
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for dir in &level {
            let names = entries(dir).unwrap_or_default();
            let visible = names.iter().filter(|name| !is_clutter(name)).map(|name| dir.join(name));
            for inner in visible.filter(|path| path.is_dir()) {
                let is_new = fs::canonicalize(&inner).is_ok_and(|path| seen.insert(path));
                if is_new && found.len() + next.len() < MOST_FOLDERS {
                    next.push(inner);
                }
            }
        }
        found.extend(next.iter().cloned());
        level = next;
    }
    found
}

/// Returns whether an entry is one that systems leave in every folder, and not part of the user's data.
pub(super) fn is_clutter(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "__macosx",
        "@eadir",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "$recycle.bin",
        "system volume information",
    ];
    name.starts_with('.') || NAMES.contains(&name.to_lowercase().as_str())
}

/// Describes the contents of a folder.
pub(super) fn listing(folder: &Path) -> io::Result<String> {
    const SHOWN: usize = 12;
    let names = entries(folder)?;
    Ok(match names.len() {
        0 => "is empty".to_owned(),
        1..=SHOWN => format!("holds {}", names.join(", ")),
        more => format!("holds {} and {} more", names[..SHOWN].join(", "), more - SHOWN),
    })
}
