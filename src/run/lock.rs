//! One writer in a run's folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::error::RunError;

/// The file that is locked; it holds the process's number.
pub(super) const FILE: &str = "lock";

/// Says for as long as it lives that this process writes into a folder. The operating system lets
/// go of the lock when the process ends, however it ends, so a stale file hinders nobody.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Whether the file at `path` is one of ours: an ordinary file with a process's number or nothing.
    pub fn is_one(path: &Path) -> bool {
        let small = fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.len() <= 32);
        let digits = |bytes: Vec<u8>| bytes.iter().all(u8::is_ascii_digit);
        small && fs::read(path).is_ok_and(digits)
    }

    /// Locks `folder`, which exists.
    pub fn take(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(FILE);
        let at = |source| RunError::Prepare { path: folder.to_owned(), source };
        loop {
            // A pipe in its place would wait forever, behind a link is somebody else's file, and so is
            // what holds anything but a number.
            if fs::symlink_metadata(&path).is_ok() && !Self::is_one(&path) {
                return Err(RunError::NotAFile(path));
            }
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(at)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(RunError::Locked { path: folder.to_owned(), pid: pid(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(at(source)),
            }
            // The one before may have removed its file between our opening and our locking it.
            if same_file(&file, &path) {
                // The number is for people: a full disk does not weaken the lock.
                let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
                return Ok(Self { path, file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is locked, so that nobody's but our own goes; and moved with its folder.
        if same_file(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Lock {
    /// The folder is called `folder` from now on.
    pub fn moved_to(&mut self, folder: &Path) {
        self.path = folder.join(FILE);
    }
}

fn pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.take(32).read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
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
    fn the_second_is_told_who_the_first_is_and_a_stale_file_hinders_nobody() {
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
