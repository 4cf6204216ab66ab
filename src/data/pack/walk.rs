//! The files of a class: those in its folder and in the folders below it.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{self, Class, Classes};
use crate::data::error::DataError;

/// A picture to read, and its class.
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
    /// Folders that a link points back to.
    links: Vec<PathBuf>,
}

/// The kind of a file by its extension.
enum Kind {
    Picture,
    /// A picture that is not read.
    Unread(String),
    Other,
}

impl Kind {
    fn of(path: &Path) -> Self {
        let end = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        match end.as_str() {
            "png" | "jpg" | "jpeg" | "jfif" | "jpe" => Kind::Picture,
            "bmp" | "gif" | "webp" | "tif" | "tiff" | "heic" | "heif" | "avif" | "svg" | "ppm"
            | "pgm" | "pbm" | "pnm" | "ico" | "jp2" | "psd" | "dng" | "cr2" | "cr3" | "nef"
            | "arw" | "raw" => Kind::Unread(end),
            _ => Kind::Other,
        }
    }
}

/// Returns whether a file is a picture that is read, by its extension.
pub(super) fn is_picture(path: &Path) -> bool {
    matches!(Kind::of(path), Kind::Picture)
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

    /// Counts the entries next to the folders of the classes, folders with their whole contents.
    pub fn add_beside(&mut self, beside: Vec<PathBuf>) {
        let mut seen = HashSet::new();
        let mut waiting = beside;
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                let is_new = fs::canonicalize(&path).is_ok_and(|path| seen.insert(path));
                let inside = is_new.then(|| layout::entries(&path).unwrap_or_default());
                waiting.extend(inside.into_iter().flatten().map(|entry| entry.path));
            } else if is_picture(&path) {
                self.loose += 1;
                self.loose_example.get_or_insert(path);
            } else {
                self.add(path);
            }
        }
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
        notes.extend(self.links.iter().map(|link| {
            format!(
                "the link {} was left out: it leads to a folder that is read already",
                link.display()
            )
        }));
        notes
    }
}

fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

/// Returns the pictures of all classes, in the order of classes, folders and names.
pub(super) fn pictures(
    Classes { root, classes }: &Classes,
    left_out: &mut LeftOut,
) -> Result<Vec<Picture>, DataError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|e| DataError::read(path, e));
    // A link to any of these would count pictures twice, or for another class.
    let mut seen = HashSet::from([real(root)?]);
    for Class { path, .. } in classes {
        seen.insert(real(path)?);
    }
    let mut found = Vec::new();
    for (class, Class { path, .. }) in classes.iter().enumerate() {
        let mut waiting = vec![layout::entries(path)?.into_iter()];
        while let Some(level) = waiting.last_mut() {
            let Some(entry) = level.next() else {
                waiting.pop();
                continue;
            };
            if entry.is_dir {
                match seen.insert(real(&entry.path)?) {
                    true => waiting.push(layout::entries(&entry.path)?.into_iter()),
                    false => left_out.links.push(entry.path),
                }
            } else if is_picture(&entry.path) {
                found.push(Picture { path: entry.path, class: class as u8 });
            } else {
                left_out.add(entry.path);
            }
        }
    }
    Ok(found)
}
