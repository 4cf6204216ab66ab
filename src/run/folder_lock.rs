//! A lock that allows one writer in a run's folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::error::RunError;

/// The name of the lock file; it holds the process's id.
pub(super) const FILE: &str = "lock";

/// Marks a folder as written to by this process for as long as the value lives. The operating system releases
/// the lock when the process ends, however it ends, so a stale file blocks no one.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Returns whether the file at `path` is a lock file: an ordinary file that is empty or holds a process
    /// id.
    pub fn is_one(path: &Path) -> bool {
        let small = fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.len() <= 32);
        let digits = |bytes: Vec<u8>| bytes.iter().all(u8::is_ascii_digit);
        small && fs::read(path).is_ok_and(digits)
    }

    /// Records that the folder has been renamed to `folder`.
    pub fn moved_to(&mut self, folder: &Path) {
        self.path = folder.join(FILE);
    }

    /// Locks `folder`, which must exist.
    pub fn take(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(FILE);
        let at = |source| RunError::Prepare { path: folder.to_owned(), source };
        loop {
            // Opening a pipe in its place would block forever. A link points to someone else's file, and a
            // file that holds anything except a number belongs to someone else, too.
            if fs::symlink_metadata(&path).is_ok() && !Self::is_one(&path) {
                return Err(RunError::NotAFile(path));
            }
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(at)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let pid = fs::read_to_string(&path).ok().and_then(|text| text.parse().ok());
                    return Err(RunError::Locked { path: folder.to_owned(), pid });
                }
                Err(TryLockError::Error(source)) => return Err(at(source)),
            }
            // The previous owner may have removed its file between our opening and our locking it.
            if same_file(&file, &path) {
                // The number is for people: on a full disk the lock still works.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(Self { path, file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is locked, so that only our own file is removed; it has moved with its folder.
        if same_file(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |found: io::Result<fs::Metadata>| found.ok().map(|m| (m.dev(), m.ino()));
    let own = number(file.metadata());
    own.is_some() && own == number(fs::metadata(path))
}

#[cfg(not(unix))]
fn same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_fails_with_the_owners_pid_and_a_stale_file_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "4294967295").unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        match Lock::take(folder.path()) {
            Err(RunError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(Lock::take(folder.path()).is_ok());
    }
}
