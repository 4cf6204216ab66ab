//! The layout of a folder of pictures: where its classes are, and which parts it has.

use std::fs;
use std::path::{Path, PathBuf};

use super::class_folders::{self, Classes};
use super::picture_kind::is_picture;
use super::problem::PackProblem;
use crate::data::error::DataError;
use crate::data::find_files::is_clutter;

/// Maximum nesting of folders with a single folder in them, which are opened before classes are searched for.
const WRAPPERS: usize = 4;

/// A part of a data set by the name of its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

    fn of(name: &str) -> Option<Self> {
        match name.trim().to_lowercase().as_str() {
            "train" | "training" => Some(Part::Train),
            "val" | "valid" | "validation" => Some(Part::Validation),
            "test" | "testing" => Some(Part::Test),
            _ => None,
        }
    }

    /// Returns the part that a word of a longer name names, as in Kaggle's `seg_train` and `train_images`.
    fn in_name(name: &str) -> Option<Self> {
        let mut words = name.split(|c: char| !c.is_alphanumeric()).filter_map(Self::of);
        words.next().filter(|_| words.next().is_none())
    }
}

/// The classes and parts of a folder of pictures.
#[derive(Debug)]
pub(super) struct Layout {
    /// The training folder first.
    pub train: Vec<Classes>,
    /// None if the test images are to be drawn from the training images.
    pub test: Option<Classes>,
    /// Decisions, in words.
    pub notes: Vec<String>,
    /// Files and folders next to those of the classes.
    pub beside: Vec<PathBuf>,
    /// Links next to those of the classes that lead to a folder around them.
    pub links: Vec<PathBuf>,
}

/// An entry of a folder.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub name: String,
    pub path: PathBuf,
    pub is_dir: bool,
}

/// Returns the entries of a folder without hidden ones and system clutter, sorted by name:
/// 2 before 10, and numbers before words.
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>, DataError> {
    let at = |source| DataError::read(folder, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !is_clutter(&name) {
            found.push(Entry { name, is_dir: path.is_dir(), path });
        }
    }
    found.sort_by(|a, b| class_folders::order(&a.name).cmp(&class_folders::order(&b.name)));
    Ok(found)
}

/// Finds parts and classes in `folder`, or in the only folder in it.
pub(super) fn find(folder: &Path) -> Result<Layout, DataError> {
    let mut notes = Vec::new();
    let root = unwrap(folder, false, &mut notes)?;
    let Inside { dirs, files: mut beside, mut links } = inside(&root)?;
    let parts = parts(&dirs);
    if !is_parts(&root, &parts, dirs.len())? {
        let train = vec![Classes::first(&root, paths(dirs))?];
        return Ok(Layout { train, test: None, notes, beside, links });
    }
    let others = dirs.iter().filter(|dir| !parts.iter().any(|(_, part)| part.path == dir.path));
    beside.extend(others.map(|dir| dir.path.clone()));
    let [train, validation, test] = Part::ALL.map(|part| only(&root, part, &parts));
    let (train, validation, test) = (train?, validation?, test?);
    let Some(train) = train else {
        let found = parts.iter().map(|(_, dir)| format!("{:?}", dir.name)).collect::<Vec<_>>();
        return Err(DataError::pack(&root, PackProblem::NoTraining(found.join(" and "))));
    };
    let (train, test) = assign(train, validation, test, &mut notes);
    let mut read = |part: &Entry, first: Option<&Classes>| {
        let root = unwrap(&part.path, true, &mut notes)?;
        let found = inside(&root)?;
        beside.extend(found.files);
        links.extend(found.links);
        match first {
            None => Classes::first(&root, paths(found.dirs)),
            Some(first) => first.of_part(&root, paths(found.dirs)),
        }
    };
    let mut training: Vec<Classes> = Vec::new();
    for part in train {
        let classes = read(part, training.first())?;
        training.push(classes);
    }
    let test = test.map(|part| read(part, training.first())).transpose()?;
    Ok(Layout { train: training, test, notes, beside, links })
}

/// Finds the classes of a folder with a part to test on and none to train on; none in all other folders.
pub(super) fn find_test(folder: &Path) -> Result<Option<Layout>, DataError> {
    let mut notes = Vec::new();
    let root = unwrap(folder, false, &mut notes)?;
    let Inside { dirs, files: mut beside, mut links } = inside(&root)?;
    let parts = parts(&dirs);
    if !is_parts(&root, &parts, dirs.len())? {
        return Ok(None);
    }
    let [train, validation, test] = Part::ALL.map(|part| only(&root, part, &parts));
    let (None, Some(part)) = (train?, test?.or(validation?)) else { return Ok(None) };
    let root = unwrap(&part.path, true, &mut notes)?;
    let found = inside(&root)?;
    beside.extend(found.files);
    links.extend(found.links);
    let classes = Classes::first(&root, paths(found.dirs))?;
    Ok(Some(Layout { train: vec![classes], test: None, notes, beside, links }))
}

/// Returns the folders to train on, and the one to test on; validation images are the test set if there is no
/// other.
fn assign<'a>(
    train: &'a Entry,
    validation: Option<&'a Entry>,
    test: Option<&'a Entry>,
    notes: &mut Vec<String>,
) -> (Vec<&'a Entry>, Option<&'a Entry>) {
    match (validation, test) {
        (Some(validation), Some(test)) => {
            notes.push(format!(
                "{:?} is trained on together with {:?}, and {:?} is the test set; train --validation-split draws \
                 validation images",
                validation.name, train.name, test.name
            ));
            (vec![train, validation], Some(test))
        }
        (Some(validation), None) => {
            notes.push(format!("there is no test folder: {:?} is the test set", validation.name));
            (vec![train], Some(validation))
        }
        (None, None) => {
            notes.push(format!(
                "there is {:?} and no test folder: the test images are drawn from it",
                train.name
            ));
            (vec![train], None)
        }
        (None, test) => (vec![train], test),
    }
}

/// Returns the folder to search: as long as one holds only a single folder of folders, that one. A part of a
/// data set is a folder that has no parts.
fn unwrap(folder: &Path, is_part: bool, notes: &mut Vec<String>) -> Result<PathBuf, DataError> {
    let mut root = folder.to_owned();
    for _ in 0..WRAPPERS {
        let Inside { dirs, files, .. } = inside(&root)?;
        let [only] = &dirs[..] else { break };
        let is_class = files.iter().any(|file| is_picture(file));
        let opens_part = !is_part && Part::of(&only.name).is_some();
        if is_class || opens_part || !has_folders(only)? {
            break;
        }
        root = only.path.clone();
    }
    if root != folder {
        notes.push(format!("{} is the only folder in {}", root.display(), folder.display()));
    }
    Ok(root)
}

fn has_folders(dir: &Entry) -> Result<bool, DataError> {
    Ok(!inside(&dir.path)?.dirs.is_empty())
}

/// Returns the folders that may be parts: those with the usual names, and if there are two parts or more also
/// those that have such a word in their name and folders in them.
fn parts(dirs: &[Entry]) -> Vec<(Part, &Entry)> {
    let mut found = Vec::new();
    for dir in dirs {
        // A folder that cannot be read is an error later.
        let in_name = || Part::in_name(&dir.name).filter(|_| has_folders(dir).unwrap_or(true));
        found.extend(Part::of(&dir.name).or_else(in_name).map(|part| (part, dir)));
    }
    let mut kinds: Vec<Part> = found.iter().map(|(part, _)| *part).collect();
    kinds.sort();
    kinds.dedup();
    if kinds.len() < 2 {
        found.retain(|(_, dir)| Part::of(&dir.name).is_some());
    }
    found
}

/// The entries of a folder.
struct Inside {
    dirs: Vec<Entry>,
    files: Vec<PathBuf>,
    /// Links to the folder itself or to one around it.
    links: Vec<PathBuf>,
}

fn inside(folder: &Path) -> Result<Inside, DataError> {
    let (dirs, files): (Vec<_>, Vec<_>) =
        entries(folder)?.into_iter().partition(|entry| entry.is_dir);
    let (links, dirs): (Vec<_>, Vec<_>) =
        dirs.into_iter().partition(|dir| leads_up(&dir.path, folder));
    Ok(Inside { dirs, files: paths(files), links: paths(links) })
}

fn paths(entries: Vec<Entry>) -> Vec<PathBuf> {
    entries.into_iter().map(|entry| entry.path).collect()
}

/// Returns whether a link leads to `folder` or to a folder around it.
fn leads_up(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    path.is_symlink()
        && real(path).zip(real(folder)).is_some_and(|(target, folder)| folder.starts_with(target))
}

/// Returns whether folders are parts. A single one may be a class: trains next to cars and planes.
fn is_parts(root: &Path, parts: &[(Part, &Entry)], dirs: usize) -> Result<bool, DataError> {
    let [(first, dir), rest @ ..] = parts else { return Ok(false) };
    if rest.iter().any(|(part, _)| part != first) || parts.len() == dirs {
        return Ok(true);
    }
    for (_, part) in parts {
        if has_folders(part)? {
            return Err(DataError::pack(root, PackProblem::Ambiguous(dir.name.clone())));
        }
    }
    Ok(false)
}

/// Returns the folder of a part, of which there is at most one.
fn only<'a>(
    root: &Path,
    part: Part,
    parts: &[(Part, &'a Entry)],
) -> Result<Option<&'a Entry>, DataError> {
    let of_part: Vec<&Entry> =
        parts.iter().filter(|(other, _)| *other == part).map(|(_, dir)| *dir).collect();
    match of_part[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        [first, second, ..] => Err(DataError::pack(
            root,
            PackProblem::TwoSpellings(first.name.clone(), second.name.clone()),
        )),
    }
}
