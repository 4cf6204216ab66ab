//! The layout of a folder of pictures: where its classes are, and which parts it has.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::PackProblem;
use crate::data::classes;
use crate::data::error::DataError;
use crate::data::find::is_clutter;

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

/// A class and its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub name: String,
    pub path: PathBuf,
}

/// Folders with one class each, those of one part or of the whole.
#[derive(Debug)]
pub(super) struct Classes {
    pub root: PathBuf,
    pub classes: Vec<Class>,
}

impl Classes {
    pub fn names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }
}

/// The classes and parts of a folder of pictures.
#[derive(Debug)]
pub(super) struct Layout {
    pub train: Vec<Classes>,
    /// None if the test images are to be drawn from the training images.
    pub test: Option<Classes>,
    /// Decisions, in words.
    pub notes: Vec<String>,
    /// Files and folders next to those of the classes.
    pub beside: Vec<PathBuf>,
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
    let number = |name: &str| name.parse::<u64>().unwrap_or(u64::MAX);
    found.sort_by(|a, b| (number(&a.name), &a.name).cmp(&(number(&b.name), &b.name)));
    Ok(found)
}

fn problem(path: &Path, problem: PackProblem) -> DataError {
    DataError::Pack { path: path.to_owned(), problem }
}

/// Finds parts and classes in `folder`, or in the only folder in it.
pub(super) fn find(folder: &Path) -> Result<Layout, DataError> {
    let mut notes = Vec::new();
    let root = unwrap(folder, false, &mut notes)?;
    let (dirs, mut beside) = split(entries(&root)?);
    let parts = parts(&dirs);
    if !is_parts(&root, &parts, dirs.len())? {
        let classes = classes(&root, dirs)?;
        return Ok(Layout { train: vec![classes], test: None, notes, beside });
    }
    let others = dirs.iter().filter(|dir| !parts.iter().any(|(_, part)| part.path == dir.path));
    beside.extend(others.map(|dir| dir.path.clone()));
    let [train, validation, test] = Part::ALL.map(|part| only(&root, part, &parts));
    let (train, validation, test) = (train?, validation?, test?);
    let Some(train) = train else {
        let found = parts.iter().map(|(_, dir)| format!("{:?}", dir.name)).collect::<Vec<_>>();
        return Err(problem(&root, PackProblem::NoTraining(found.join(" and "))));
    };
    let (train, test) = assign(train, validation, test, &mut notes);
    let mut read = |part: &Entry| {
        let root = unwrap(&part.path, true, &mut notes)?;
        let (dirs, files) = split(entries(&root)?);
        beside.extend(files);
        classes(&root, dirs)
    };
    let train = train.into_iter().map(&mut read).collect::<Result<_, _>>()?;
    let test = test.map(read).transpose()?;
    Ok(Layout { train, test, notes, beside })
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
        let (dirs, files) = split(entries(&root)?);
        let [only] = &dirs[..] else { break };
        let is_class = files.iter().any(|file| super::walk::is_picture(file));
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
    Ok(!split(entries(&dir.path)?).0.is_empty())
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

/// Splits entries into the folders and the paths of the rest.
fn split(entries: Vec<Entry>) -> (Vec<Entry>, Vec<PathBuf>) {
    let (dirs, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.is_dir);
    (dirs, files.into_iter().map(|file| file.path).collect())
}

/// Returns whether folders are parts. A single one may be a class: trains next to cars and planes.
fn is_parts(root: &Path, parts: &[(Part, &Entry)], dirs: usize) -> Result<bool, DataError> {
    let [(first, dir), rest @ ..] = parts else { return Ok(false) };
    if rest.iter().any(|(part, _)| part != first) || parts.len() == dirs {
        return Ok(true);
    }
    for (_, part) in parts {
        if has_folders(part)? {
            return Err(problem(root, PackProblem::Ambiguous(dir.name.clone())));
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
        [first, second, ..] => {
            Err(problem(root, PackProblem::TwoSpellings(first.name.clone(), second.name.clone())))
        }
    }
}

fn classes(root: &Path, dirs: Vec<Entry>) -> Result<Classes, DataError> {
    let named = |dir: Entry| match dir.path.file_name().and_then(OsStr::to_str) {
        // classes.txt does not keep the white space around a name.
        Some(name) => {
            let name = name.trim_start_matches('\u{feff}').trim().to_owned();
            Ok(Class { name, path: dir.path })
        }
        None => Err(problem(&dir.path, PackProblem::NotUtf8)),
    };
    let classes: Vec<Class> = dirs.into_iter().map(named).collect::<Result<_, _>>()?;
    // Two may be the same without the white space around them: both are shown unchanged.
    let wrong = |found| problem(root, PackProblem::Classes(found));
    let raw = classes.iter().map(|class| file_name(&class.path)).collect::<Vec<_>>();
    classes::distinct(&raw).map_err(wrong)?;
    let classes = Classes { root: root.to_owned(), classes };
    match &classes.classes[..] {
        [] => return Err(wrong("no folder".to_owned())),
        [one] => return Err(wrong(format!("only the folder {:?}", file_name(&one.path)))),
        _ => {}
    }
    classes::encode(&classes.names()).map_err(|error| wrong(error.to_string()))?;
    Ok(classes)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
