//! Atomic file writes: a file is complete or not there.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

/// A file that could not be written; the previous file, if any, is unchanged.
#[derive(Debug)]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// The number of bytes to be written; 0 if unknown.
    pub bytes: u64,
    /// The system's error.
    pub source: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, bytes, source } = self;
        write!(f, "{} cannot be written: {}", path.display(), reason(source, *bytes))
    }
}

/// It has no `source()`: the message has the reason already, often in better words than the system's, which would
/// follow it where a chain of errors is printed. thiserror would take the field as the source by its name.
impl std::error::Error for WriteError {}

impl WriteError {
    /// Creates the error for a failure to write `bytes` bytes (0 if unknown) to `path`.
    pub fn new(path: &Path, bytes: u64, source: io::Error) -> Self {
        Self { path: path.to_owned(), bytes, source }
    }

    /// Returns whether the disk is full.
    pub(crate) fn is_full_disk(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// Returns whether there was no space, either on the disk or within a limit on the size of files.
    pub fn lacks_room(&self) -> bool {
        self.is_full_disk() || self.source.kind() == io::ErrorKind::FileTooLarge
    }
}

fn reason(error: &io::Error, bytes: u64) -> String {
    let needed = if bytes > 0 { format!(", {bytes} bytes are needed") } else { String::new() };
    match error.kind() {
        io::ErrorKind::NotFound => "its folder does not exist: create it, or choose another".into(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("{error}: choose a folder that you may write to")
        }
        io::ErrorKind::IsADirectory => "it is a folder: name a file in it".into(),
        io::ErrorKind::NotADirectory => {
            "part of its path is not a folder: choose another path".into()
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{error}{needed}: free some space, or choose another disk")
        }
        io::ErrorKind::FileTooLarge => {
            format!("{error}{needed}: raise the limit on the size of files (ulimit -f)")
        }
        _ => error.to_string(),
    }
}

/// The suffix of a temporary file's name, which begins with a dot.
const TEMPORARY: &str = ".part";

/// Returns whether a path's last component is the name of a temporary file, which a killed process has left.
pub(crate) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with('.') && name.ends_with(TEMPORARY))
}

/// Writes `bytes` to `path` atomically: readers see either the old file or the new one, complete, even after
/// a crash.
///
/// # Errors
/// The system's error; the temporary file is removed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_verified(path, bytes, |_| Ok(()))
}

/// Like [`write()`], but `verify` is called with the new file under its temporary name before it replaces the
/// old one.
///
/// # Errors
/// Like [`write()`], or the error of `verify`.
pub(crate) fn write_verified(
    path: &Path,
    bytes: &[u8],
    verify: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), WriteError> {
    let length = bytes.len() as u64;
    let sized = |error: WriteError| WriteError { bytes: length, ..error };
    write_with(path, |temporary| {
        let at = |source| WriteError::new(path, length, source);
        let mut file = File::create(temporary).map_err(at)?;
        file.write_all(bytes).map_err(at)?;
        file.sync_all().map_err(at)?;
        verify(temporary).map_err(at)
    })
    .map_err(sized)
}

/// Like [`write()`], for content that another library writes to a file given its name.
///
/// # Errors
/// The error of `fill`, or the system's; the temporary file is removed.
pub(crate) fn write_with<E: From<WriteError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let at = |source| E::from(WriteError::new(path, 0, source));
    let Begun { path, folder, temporary } = Begun::at(path)?;
    fill(&temporary)?;
    File::open(&temporary).and_then(|file| file.sync_all()).map_err(at)?;
    temporary.persist(path).map_err(|error| at(error.error))?;
    // The rename itself must survive a power failure.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at)
}

/// Checks that a file could be written to `path`, as [`write()`] does it; nothing is left there.
///
/// # Errors
/// The error that writing it would have.
pub fn check(path: &Path) -> Result<(), WriteError> {
    Begun::at(path).map(drop)
}

/// A file that is begun under a temporary name, which is removed when this is dropped.
struct Begun {
    /// The file to replace.
    path: PathBuf,
    folder: PathBuf,
    temporary: TempPath,
}

impl Begun {
    fn at(path: &Path) -> Result<Self, WriteError> {
        let at = |source| WriteError::new(path, 0, source);
        // Without the temporary file's own name, which tempfile adds.
        let unmade = |error: io::Error| at(error.kind().into());
        // Follows a link to its target. Only regular files are replaced, not pipes or devices.
        let linked = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if linked.exists() && !linked.is_file() {
            let directory = io::ErrorKind::IsADirectory.into();
            let special = io::Error::other("it is a pipe or a device, not a file");
            return Err(at(if linked.is_dir() { directory } else { special }));
        }
        // In the same folder, because a rename across file systems would be a copy.
        let folder = match linked.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let name = linked.file_name().ok_or_else(|| at(io::ErrorKind::IsADirectory.into()))?;
        let mut prefix = OsString::from(".");
        prefix.push(name);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(TEMPORARY);
        // By default, temporary files are readable only by their owner; results follow the umask like any new
        // file.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(&folder).map_err(unmade)?.into_temp_path();
        Ok(Self { path: linked, folder, temporary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_old_file_stays_until_the_new_one_is_whole() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        write(&path, b"old")?;
        let failed = write_with(&path, |temporary| {
            fs::write(temporary, b"half").map_err(|source| WriteError::new(&path, 4, source))?;
            Err(WriteError::new(&path, 4, io::ErrorKind::StorageFull.into()))
        });
        assert!(
            failed.is_err_and(|e| e.to_string().contains(", 4 bytes are needed: free some space"))
        );
        assert_eq!(fs::read(&path)?, b"old");
        write(&path, b"new")?;
        assert_eq!(fs::read(&path)?, b"new");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    #[cfg(unix)]
    fn a_link_stays_a_link() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        write(&file, b"old")?;
        std::os::unix::fs::symlink(&file, &link)?;
        write(&link, b"new")?;
        assert!(link.is_symlink() && fs::read(&file)? == b"new");
        Ok(())
    }

    #[test]
    fn a_folder_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        assert!(write(folder.path(), b"x").is_err());
        assert!(write(Path::new("/dev/null"), b"x").is_err() && !Path::new("/dev/null").is_file());
        assert!(write(&folder.path().join("missing/file"), b"x").is_err());
        for path in ["", "missing/file", "file"].map(|name| folder.path().join(name)) {
            assert_eq!(
                check(&path).is_ok(),
                path.ends_with("file") && !path.starts_with(folder.path().join("missing"))
            );
        }
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}
