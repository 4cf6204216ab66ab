//! The files of a class: those in its folder and in the folders below it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::class_folders::{Class, Classes};
use super::folder_layout::{self, Layout};
use super::picture_kind::{Kind, is_picture};
use super::problem::PackProblem;
use crate::data::error::DataError;

/// A picture to read, and its class.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub path: PathBuf,
    pub class: u8,
}

/// Counts of the files that are not read.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Pictures of kinds that are not read, by extension.
    kinds: BTreeMap<String, usize>,
    /// Other files.
    pub others: usize,
    /// The first of the other files.
    example: Option<PathBuf>,
    /// Pictures that belong to no class, and the first of them.
    loose: usize,
    loose_example: Option<PathBuf>,
    /// Folders that are read already or hold classes, and the first of them.
    again: usize,
    again_example: Option<PathBuf>,
}

impl LeftOut {
    fn add(&mut self, path: PathBuf) {
        match Kind::of(&path) {
            Kind::Unread(end) => *self.kinds.entry(end).or_default() += 1,
            _ => {
                self.others += 1;
                self.example.get_or_insert(path);
            }
        }
    }

    fn add_again(&mut self, path: PathBuf) {
        self.again += 1;
        self.again_example.get_or_insert(path);
    }

    /// Describes in sentences which files are left out.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let such_as = |example: &Option<PathBuf>| {
            example.as_ref().map(|path| format!(", such as {}", path.display())).unwrap_or_default()
        };
        if self.loose > 0 {
            notes.push(format!(
                "{} left out because no class folder holds {}{}",
                counted(self.loose, "picture was", "pictures were"),
                if self.loose == 1 { "it" } else { "them" },
                such_as(&self.loose_example)
            ));
        }
        if !self.kinds.is_empty() {
            let kinds = self.kinds.iter().map(|(end, count)| format!("{count} .{end}"));
            let kinds = kinds.collect::<Vec<_>>().join(", ");
            notes.push(format!(
                "{} left out because only PNG and JPEG are read ({kinds}): convert them, for example \
                 with ImageMagick's mogrify -format png",
                counted(self.kinds.values().sum(), "picture was", "pictures were")
            ));
        }
        if self.others > 0 {
            notes.push(format!(
                "{} left out: no .png, .jpg, .jpeg, .jpe or .jfif by name{}",
                counted(self.others, "file was", "files were"),
                such_as(&self.example)
            ));
        }
        if self.again > 0 {
            notes.push(format!(
                "{} left out: read already, or a link to what holds the classes{}",
                counted(self.again, "folder was", "folders were"),
                such_as(&self.again_example)
            ));
        }
        notes
    }
}

fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Finds the pictures of the parts of a data set, each of them once.
#[derive(Debug)]
pub(super) struct Walk {
    /// The folders of the classes, with links resolved like all of these.
    classes: HashSet<PathBuf>,
    /// The folders around these: a link to any of them would count pictures twice, or for another class.
    around: HashSet<PathBuf>,
    /// The folders that were read.
    seen: HashSet<PathBuf>,
    pub left_out: LeftOut,
}

impl Walk {
    /// Returns the walk through a layout, in which each class of each part has its own folder.
    pub fn new(Layout { train, test, links, .. }: &Layout) -> Result<Self, DataError> {
        let mut folders: HashMap<PathBuf, &Path> = HashMap::new();
        let mut around = HashSet::new();
        for part in train.iter().chain(test) {
            around.extend(real(&part.root)?.ancestors().map(Path::to_owned));
            for Class { path, .. } in &part.classes {
                let real = real(path)?;
                around.extend(real.ancestors().skip(1).map(Path::to_owned));
                if let Some(first) = folders.insert(real, path) {
                    return Err(DataError::pack(path, PackProblem::SameFolder(first.to_owned())));
                }
            }
        }
        let classes: HashSet<PathBuf> = folders.into_keys().collect();
        let mut left_out = LeftOut::default();
        links.iter().for_each(|link| left_out.add_again(link.clone()));
        Ok(Self { seen: classes.clone(), classes, around, left_out })
    }

    /// Returns whether a folder is to be read. One that a link leads to is not if it holds classes or belongs to
    /// one.
    fn enters(&mut self, path: &Path) -> Result<bool, DataError> {
        let real = real(path)?;
        let in_class = || real.ancestors().any(|folder| self.classes.contains(folder));
        if path.is_symlink() && (self.around.contains(&real) || in_class()) {
            return Ok(false);
        }
        Ok(self.seen.insert(real))
    }

    /// Returns the pictures of all classes, in the order of parts, classes, folders and names.
    pub fn pictures(&mut self, parts: &[Classes]) -> Result<Vec<Picture>, DataError> {
        let mut found = Vec::new();
        for class in parts.iter().flat_map(|part| &part.classes) {
            self.add_class(class, &mut found)?;
        }
        Ok(found)
    }

    fn add_class(&mut self, class: &Class, found: &mut Vec<Picture>) -> Result<(), DataError> {
        let mut waiting = vec![folder_layout::entries(&class.path)?.into_iter()];
        while let Some(level) = waiting.last_mut() {
            let Some(entry) = level.next() else {
                waiting.pop();
                continue;
            };
            if entry.is_dir {
                match self.enters(&entry.path)? {
                    true => waiting.push(folder_layout::entries(&entry.path)?.into_iter()),
                    false => self.left_out.add_again(entry.path),
                }
            } else if is_picture(&entry.path) {
                found.push(Picture { path: entry.path, class: class.label });
            } else {
                self.left_out.add(entry.path);
            }
        }
        Ok(())
    }

    /// Counts the entries next to the folders of the classes, folders with their whole contents. Those of the
    /// classes must have been read before.
    pub fn add_beside(&mut self, beside: Vec<PathBuf>) {
        let mut waiting = beside;
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                let is_new = self.enters(&path).unwrap_or(false);
                let inside = is_new.then(|| folder_layout::entries(&path).unwrap_or_default());
                waiting.extend(inside.into_iter().flatten().map(|entry| entry.path));
            } else if is_picture(&path) {
                self.left_out.loose += 1;
                self.left_out.loose_example.get_or_insert(path);
            } else {
                self.left_out.add(path);
            }
        }
    }
}

fn real(path: &Path) -> Result<PathBuf, DataError> {
    fs::canonicalize(path).map_err(|e| DataError::read(path, e))
}
