//! The files that options name to be written. They are checked before the work, so that none replaces data, a file of
//! a run, or a file of another kind.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use seqfit::History;
use seqfit::data::Source;
use seqfit::import::Imported;
use seqfit::run::{CONFIG, Run, RunError};

use super::output::Usage;

/// The kind of a file that an option writes. An existing file of the same kind is replaced, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// The table of the epochs.
    History,
    /// Another table, whose first line begins so.
    Table(&'static str),
    /// A page.
    Html,
    /// A NumPy array.
    Npy,
    Png,
    Svg,
    /// A network in any format of `export`.
    Network,
    /// A page of the manual.
    ManPage,
    /// JSON that begins with this key.
    Json(&'static str),
}

/// A file that an option writes.
#[derive(Clone, Copy, Debug)]
pub struct OutputFile<'a> {
    pub option: &'static str,
    pub path: &'a Path,
    pub kind: FileKind,
}

/// Checks that the files do not replace each other, files of runs, or existing files of other kinds, and that they can
/// be written.
///
/// # Errors
/// The first that does, or cannot; a name that does not end as its kind requires.
pub fn check(files: &[OutputFile]) -> anyhow::Result<()> {
    check_beside(files, None)
}

/// Like [`check`], of files that may be in a folder that will be made.
///
/// # Errors
/// Like [`check`].
pub fn check_beside(files: &[OutputFile], made: Option<&Path>) -> anyhow::Result<()> {
    check_names(files)?;
    let made = made.and_then(place);
    let is_made =
        |path| made.as_ref().zip(place(path)).is_some_and(|(made, path)| path.starts_with(made));
    let mut written = files.iter().map(|file| file.path).filter(|path| !is_made(path));
    Ok(written.try_for_each(seqfit::files::check)?)
}

fn check_names(files: &[OutputFile]) -> anyhow::Result<()> {
    files.iter().try_for_each(|file| of_no_run(file.path))?;
    for (i, file) in files.iter().enumerate() {
        file.check()?;
        if let Some(other) = files[..i].iter().find(|other| same(other.path, file.path)) {
            let (path, first, second) = (file.path.display(), other.option, file.option);
            let rule = format!(
                "{first} and {second} write a file each, found {path} for both: give two names"
            );
            return Err(Usage(rule).into());
        }
    }
    Ok(())
}

/// Checks that none of the files is one of those that the data was read from, or would be read as one of them.
///
/// # Errors
/// The first that is.
pub fn check_not_read(files: &[OutputFile], source: &Source) -> Result<(), Usage> {
    let Some(dir) = &source.dir else { return Ok(()) };
    let read: Vec<PathBuf> = source.files.iter().map(|file| dir.join(&file.name)).collect();
    for OutputFile { option, path, .. } in files {
        if read.iter().any(|read| same(read, path)) || is_read_with(source, path) {
            return Err(Usage(format!(
                "{option} would replace {}, a file of the data that is read, or be read with it: choose another name",
                path.display()
            )));
        }
    }
    Ok(())
}

/// Checks that a folder to write is not inside a folder of pictures, where it would be read as a class.
///
/// # Errors
/// It is inside.
pub fn check_outside(option: &str, folder: &Path, source: &Source) -> Result<(), Usage> {
    match source.pictures.is_some() && is_read_with(source, folder) {
        false => Ok(()),
        true => Err(Usage(format!(
            "{option} must be outside the folder of pictures that is read, found {}: choose another folder",
            folder.display()
        ))),
    }
}

/// Returns whether the folder of the data would be read with a file of this name: anything in a folder of pictures,
/// and each array in a folder of `.npy` files.
fn is_read_with(source: &Source, path: &Path) -> bool {
    let is_array = |path: &Path| path.extension().is_some_and(|end| end == "npy");
    let (Some(dir), Some(path)) = (source.dir.as_deref().and_then(place), place(path)) else {
        return false;
    };
    let arrays =
        source.arrays.is_some() && source.files.iter().all(|file| is_array(Path::new(&file.name)));
    source.pictures.is_some() && path.starts_with(&dir)
        || arrays && is_array(&path) && path.parent() == Some(&dir)
}

/// Refuses a file that belongs to a run.
fn of_no_run(path: &Path) -> Result<(), RunError> {
    // A link leads into the run of its target; a file that does not exist yet has only a folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let target = path.canonicalize();
    let target =
        target.or_else(|_| folder.unwrap_or(Path::new(".")).canonicalize().map(|f| f.join("file")));
    let Ok(target) = target else { return Ok(()) };
    // The files of a run are at most two folders deep in it.
    let folders = target.ancestors().skip(1).take(3);
    let runs = folders.filter(|folder| folder.join(CONFIG).is_file());
    runs.filter_map(|folder| Run::open(folder).ok()).try_for_each(|run| run.check_output(path))
}

/// Returns whether two paths are the same file, which need not exist.
fn same(a: &Path, b: &Path) -> bool {
    a == b || place(a).is_some_and(|a| place(b) == Some(a))
}

/// Returns the absolute path of a file that need not exist, with links followed as far as there are files.
fn place(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let exists = path.ancestors().find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
    let (folder, target) = exists?;
    let rest = path.strip_prefix(folder).ok()?;
    Some(if rest.as_os_str().is_empty() { target } else { target.join(rest) })
}

impl OutputFile<'_> {
    fn check(&self) -> Result<(), Usage> {
        let Self { option, path, kind } = self;
        if *kind == FileKind::Npy && path.extension().is_none_or(|end| end != "npy") {
            return Err(Usage(format!(
                "{option} writes a NumPy file whose name ends in .npy, found {}",
                path.display()
            )));
        }
        // What cannot be read is refused, or written, by the writer.
        let Some(start) = start_of(path) else { return Ok(()) };
        if start.is_empty() || kind.is_of(path, &start) {
            return Ok(());
        }
        Err(Usage(format!(
            "{option} writes {}, and {} exists and is {}: choose another name, or move it away",
            kind.in_words(),
            path.display(),
            found(&start)
        )))
    }
}

/// Returns the beginning of an ordinary file that exists.
fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    // Checked before opening, which would wait for the writer of a pipe.
    let file = path.is_file().then(|| File::open(path).ok())??;
    file.take(512).read_to_end(&mut start).ok()?;
    Some(start)
}

impl FileKind {
    fn in_words(self) -> &'static str {
        match self {
            Self::History => "a CSV table of epochs",
            Self::Table(_) => "a CSV table of its own",
            Self::Html => "an HTML page",
            Self::Npy => "a NumPy array",
            Self::Png => "a PNG picture",
            Self::Svg => "an SVG picture",
            Self::Network => "an exported network",
            Self::ManPage => "a page of the manual",
            Self::Json(_) => "a JSON file of results",
        }
    }

    /// Returns whether a file that begins so is of this kind.
    fn is_of(self, path: &Path, start: &[u8]) -> bool {
        let text = String::from_utf8_lossy(start);
        let text = text.trim_start();
        match self {
            Self::History => {
                let header = History::default().to_csv();
                text.starts_with(header.trim_end())
            }
            Self::Table(header) => text.starts_with(header),
            Self::Html => text.get(..14).is_some_and(|t| t.eq_ignore_ascii_case("<!doctype html")),
            Self::Npy => start.starts_with(b"\x93NUMPY"),
            Self::Png => start.starts_with(b"\x89PNG"),
            Self::Svg => text.starts_with("<svg") || text.starts_with("<?xml"),
            // Files of data can have the same formats; only the card differs.
            Self::Network => Imported::open(path).is_ok_and(|file| file.card.is_some()),
            Self::ManPage => text.starts_with('.'),
            Self::Json(key) => {
                let inside = text.strip_prefix('{').unwrap_or_default().trim_start();
                inside.starts_with(&format!("{key:?}"))
            }
        }
    }
}

/// Says what a file that begins so seems to be.
fn found(start: &[u8]) -> &'static str {
    let is_text = |&byte: &u8| byte >= b' ' || byte.is_ascii_whitespace();
    match start {
        [b'P', b'K', ..] => "a zip archive, as .npz files are",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        [0, 0, 8, 1..=4, ..] => "an IDX file",
        [0x1f, 0x8b, ..] => "a gzip file",
        [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, ..] => "a picture",
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => "a safetensors file",
        start if start.iter().all(is_text) => "another text",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KINDS: [(FileKind, &[u8]); 8] = [
        (
            FileKind::History,
            b"epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds,samples_per_second,val_r2\n",
        ),
        (FileKind::Table("learning_rate,loss"), b"learning_rate,loss,smoothed\n"),
        (FileKind::Html, b"<!DOCTYPE html><html>"),
        (FileKind::Npy, b"\x93NUMPY\x01\x00"),
        (FileKind::Png, b"\x89PNG\r\n\x1a\n"),
        (FileKind::Svg, b"<svg xmlns="),
        (FileKind::ManPage, b".ie \\n(.g .ds Aq"),
        (FileKind::Json("seeds"), b"{\n  \"seeds\": []}"),
    ];

    /// Files of data, and texts of people.
    const DATA: [(&[u8], &str); 7] = [
        (b"PK\x03\x04", "a zip archive, as .npz files are"),
        (b"\0\0\x08\x03\0\0\0\x01", "an IDX file"),
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"\x1f\x8b\x08", "a gzip file"),
        (b"\x40\0\0\0\0\0\0\0{\"x_train\":", "a safetensors file"),
        (b"epoch,temperature\n1,20\n", "another text"),
        (b"\x80\x02}q\0.", "something else"),
    ];

    #[test]
    fn an_existing_file_is_replaced_by_its_own_kind_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.npy");
        let written = |bytes: &[u8], kind| {
            fs::write(&path, bytes).unwrap();
            let file = OutputFile { option: "--out", path: &path, kind };
            check(&[file]).map_err(|error| error.to_string())
        };
        for (kind, bytes) in KINDS {
            assert_eq!(written(bytes, kind), Ok(()), "{kind:?}");
            assert_eq!(written(b"", kind), Ok(()), "{kind:?}");
            for (_, other) in KINDS.iter().filter(|(other, _)| *other != kind) {
                assert!(written(other, kind).is_err(), "{kind:?} {other:?}");
            }
            for (data, words) in DATA {
                let error = written(data, kind).unwrap_err();
                assert!(error.contains(&format!("file.npy exists and is {words}: ")), "{error}");
                assert_eq!(fs::read(&path).unwrap(), data);
            }
        }
        for (data, _) in DATA.iter().chain(&[(&b"<svg"[..], "")]) {
            assert!(written(data, FileKind::Network).is_err());
        }
    }
}
