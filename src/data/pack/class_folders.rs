//! The classes of a folder of pictures: one folder each, the same in all parts of the data set.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::problem::PackProblem;
use crate::data::class_names;
use crate::data::error::{DataError, DatasetProblem};

/// A class and its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// The folder's name without the white space around it, composed (NFC).
    pub name: String,
    /// Its place among the classes of the training folder.
    pub label: u8,
    pub path: PathBuf,
}

/// Folders with one class each, those of one part or of the whole.
#[derive(Debug)]
pub(super) struct Classes {
    pub root: PathBuf,
    /// Sorted by name: 2 before 10, and numbers before words.
    pub classes: Vec<Class>,
}

impl Classes {
    /// Returns the classes of the training folder, or of the whole, whose folders in `root` are `dirs`.
    pub fn first(root: &Path, dirs: Vec<PathBuf>) -> Result<Self, DataError> {
        let found = named(root, dirs)?;
        let wrong = |found| DataError::pack(root, PackProblem::Classes(found));
        match &found[..] {
            [] => return Err(wrong("no folder".to_owned())),
            [one] => return Err(wrong(format!("only the folder {:?}", file_name(&one.1)))),
            _ => {}
        }
        let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
        check(root, &names)?;
        // The names were checked: there are at most 256.
        let classes = (0..=u8::MAX).zip(found);
        let classes = classes.map(|(label, (name, path))| Class { name, label, path }).collect();
        Ok(Self { root: root.to_owned(), classes })
    }

    /// Returns the same classes of another part, matched by their names: never by their places, which the names of
    /// the folders may change.
    pub fn of_part(&self, root: &Path, dirs: Vec<PathBuf>) -> Result<Self, DataError> {
        let found = named(root, dirs)?;
        let has = |name: &str| found.iter().any(|(other, _)| other == name);
        let lacks = self.classes.iter().filter(|class| !has(&class.name));
        let lacks: Vec<&str> = lacks.map(|class| class.name.as_str()).collect();
        differ(&lacks, root, &self.root)?;
        let mut classes = Vec::new();
        let mut more = Vec::new();
        for (name, path) in &found {
            match self.classes.iter().find(|class| class.name == *name) {
                Some(Class { label, .. }) => {
                    classes.push(Class { name: name.clone(), label: *label, path: path.clone() });
                }
                None => more.push(name.as_str()),
            }
        }
        differ(&more, &self.root, root)?;
        Ok(Self { root: root.to_owned(), classes })
    }

    pub fn names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }
}

/// Checks that the names can be saved.
fn check(root: &Path, names: &[String]) -> Result<(), DataError> {
    let found = match class_names::encode(names) {
        Ok(_) => return Ok(()),
        Err(DatasetProblem::ClassNames(found)) => found,
        Err(other) => other.to_string(),
    };
    Err(DataError::pack(root, PackProblem::Names(found)))
}

/// Checks that no class lacks its folder in `root`.
fn differ(lacks: &[&str], root: &Path, other: &Path) -> Result<(), DataError> {
    const SHOWN: usize = 5;
    if lacks.is_empty() {
        return Ok(());
    }
    let mut shown: Vec<String> = lacks.iter().take(SHOWN).map(|name| format!("{name:?}")).collect();
    if lacks.len() > SHOWN {
        shown.push(format!("and {} more", lacks.len() - SHOWN));
    }
    let differ = PackProblem::Differ { lacks: shown.join(", "), other: other.to_owned() };
    Err(DataError::pack(root, differ))
}

/// Returns the names of classes and their folders, sorted by name: 2 before 10, and numbers before words.
fn named(root: &Path, dirs: Vec<PathBuf>) -> Result<Vec<(String, PathBuf)>, DataError> {
    // Two may be the same without the white space around them: both are shown unchanged.
    let raw: Vec<String> = dirs.iter().map(|dir| file_name(dir)).collect();
    let named = |dir: PathBuf| match dir.file_name().and_then(OsStr::to_str) {
        Some(name) => Ok((normalized(name), dir)),
        None => Err(DataError::pack(&dir, PackProblem::NotUtf8)),
    };
    let mut found = dirs.into_iter().map(named).collect::<Result<Vec<_>, _>>()?;
    class_names::distinct(&raw)
        .map_err(|found| DataError::pack(root, PackProblem::Names(found)))?;
    found.sort_by(|(a, _), (b, _)| order(a).cmp(&order(b)));
    Ok(found)
}

/// Returns the name of a class: classes.txt does not keep the white space around it, and systems differ in the form
/// of its letters in Unicode.
fn normalized(name: &str) -> String {
    class_names::composed(name.trim_start_matches('\u{feff}').trim())
}

/// Returns the place of a name: 2 before 10, and numbers before words.
pub(super) fn order(name: &str) -> (u64, &str) {
    (name.parse().unwrap_or(u64::MAX), name)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
