//! The checkpoint folder of a run: lists, reads, writes and prunes its files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::checkpoint_file::Checkpoint;
pub use super::checkpoint_problem::Problem;
use super::error::RunError;
use crate::atomic_files::{self, WriteError};

/// The checkpoint of the best epoch.
pub const BEST: &str = "best.safetensors";

const END: &str = ".safetensors";
/// The suffix that is appended to the name of a damaged file.
const DAMAGED: &str = ".damaged";

/// A checkpoint's position in its run: finished epochs, and batches of the next epoch.
pub type Place = (usize, usize);

/// A file that was skipped, and why.
#[derive(Debug)]
pub struct Damaged {
    /// The file, under its current name.
    pub path: PathBuf,
    /// Why it was skipped.
    pub problem: Problem,
}

/// Returns the file name, `epoch-0003.safetensors` or `epoch-0003-batch-000120.safetensors`: the number of
/// finished epochs and the number of batches of the next one.
pub fn name((epoch, batch): Place) -> String {
    match batch {
        0 => format!("epoch-{epoch:04}{END}"),
        _ => format!("epoch-{epoch:04}-batch-{batch:06}{END}"),
    }
}

fn place(name: &str) -> Option<Place> {
    let rest = name.strip_suffix(END)?.strip_prefix("epoch-")?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    match rest.split_once("-batch-") {
        None => Some((number(rest)?, 0)),
        Some((epoch, batch)) => Some((number(epoch)?, number(batch)?)),
    }
}

/// Returns the checkpoints in `folder`, oldest first; none if there is no such folder.
///
/// # Errors
/// A folder that cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<(Place, PathBuf)>> {
    let named = entries(folder)?.into_iter().filter_map(|path| {
        let place = place(path.file_name()?.to_str()?)?;
        Some((place, path))
    });
    let mut found: Vec<(Place, PathBuf)> = named.collect();
    found.sort();
    Ok(found)
}

/// Reads a checkpoint, whose contents must match its name.
///
/// # Errors
/// The reason why it cannot be used.
pub fn read(path: &Path) -> Result<Checkpoint, Problem> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not an ordinary file").into());
    }
    let checkpoint = Checkpoint::from_bytes(&fs::read(path)?)?;
    let state = &checkpoint.snapshot.state;
    let named = path.file_name().and_then(|name| name.to_str()).and_then(place);
    match named {
        Some(named) if named != (state.epoch, state.batch) => {
            Err(Problem::Place { found: checkpoint.snapshot.place() })
        }
        _ => Ok(checkpoint),
    }
}

/// A checkpoint that a run may resume from, and its file.
#[derive(Debug)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// Its contents.
    pub checkpoint: Checkpoint,
}

/// Returns the files to resume from, in the order in which they are tried: the newest first, the best last.
pub(super) fn candidates(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    let numbered = list(folder)?.into_iter().rev().map(|(_, path)| path);
    let best = Some(folder.join(BEST)).filter(|path| path.exists());
    Ok(numbered.chain(best))
}

/// Renames a file that cannot be used, so that it is out of the way. The caller holds the run's lock.
pub(super) fn quarantine(path: PathBuf, problem: Problem) -> Result<Damaged, RunError> {
    let aside = PathBuf::from(format!("{}{DAMAGED}", path.display()));
    match fs::rename(&path, &aside) {
        Ok(()) => Ok(Damaged { path: aside, problem }),
        Err(source) => Err(RunError::Read { path, source }),
    }
}

/// Returns whether `folder` is empty or does not exist; partially written files do not count.
pub(super) fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(entries(folder)?.iter().all(|path| atomic_files::is_temporary(path)))
}

/// Removes partially written files, which a killed process has left.
///
/// # Errors
/// A folder that cannot be read, or a file that cannot be removed.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    let all = entries(folder)?;
    all.iter().filter(|path| atomic_files::is_temporary(path)).try_for_each(fs::remove_file)
}

/// Returns the entries of `folder`; none if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// Writes a checkpoint under a temporary name, forces it to the disk, reads it back and compares it, and only
/// then renames it to `path`.
///
/// # Errors
/// The file that could not be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    atomic_files::write_verified(path, bytes, |temporary| match holds(temporary, bytes)? {
        true => Ok(()),
        false => Err(io::Error::other("reading it back returns different bytes: check the disk")),
    })
}

/// Returns whether a file consists of exactly these bytes; it is read in blocks, so that memory does not
/// double.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut piece = [0; 1 << 16];
    let mut rest = bytes;
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(rest.is_empty()),
            n if rest.get(..n) == Some(&piece[..n]) => rest = &rest[n..],
            _ => return Ok(false),
        }
    }
}

/// Removes the checkpoints after `place`, because the run has rolled back to it.
///
/// # Errors
/// A folder that cannot be read, or a file that cannot be removed.
pub(super) fn forget(folder: &Path, place: Place) -> io::Result<()> {
    let beyond = list(folder)?.into_iter().filter(|(own, _)| *own > place);
    beyond.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
}

/// Removes all but the newest `keep` checkpoints and returns the number removed.
///
/// # Errors
/// A folder that cannot be read, or a file that cannot be removed.
pub(super) fn prune(folder: &Path, keep: usize) -> io::Result<usize> {
    let all = list(folder)?;
    let old = all.len().saturating_sub(keep);
    all.iter().take(old).try_for_each(|(_, path)| fs::remove_file(path))?;
    Ok(old)
}

/// Calls `write`; if the disk is full, calls it again after removing all checkpoints in `folder` except the
/// newest.
pub(super) fn retry_after_pruning(
    folder: &Path,
    write: impl Fn() -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    match write() {
        Err(full) if full.is_full_disk() => match prune(folder, 1) {
            Ok(0) | Err(_) => Err(full),
            Ok(_) => write(),
        },
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_encode_the_position() {
        for at in [(0, 1), (3, 0), (12345, 1234567)] {
            assert_eq!(place(&name(at)), Some(at));
        }
        for name in [
            BEST,
            "epoch-.safetensors",
            "epoch-+1.safetensors",
            "epoch-1.pt",
            "epoch-1-batch-.safetensors",
        ] {
            assert_eq!(place(name), None, "{name}");
        }
    }

    #[test]
    fn reading_back_detects_every_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..200_000).map(|i| (i % 251) as u8).collect();
        fs::write(&path, &bytes).unwrap();
        assert!(holds(&path, &bytes).unwrap());
        assert!(!holds(&path, &bytes[1..]).unwrap() && !holds(&path, &bytes[..199_999]).unwrap());
        assert!(!holds(&path, &[&bytes[..], b"x"].concat()).unwrap());
        let mut other = bytes;
        other[150_000] ^= 1;
        assert!(!holds(&path, &other).unwrap());
    }

    #[test]
    fn pruning_removes_the_oldest_and_keeps_the_best() {
        let folder = tempfile::tempdir().unwrap();
        for file in [&name((9, 0)), &name((10, 0)), &name((9, 5)), BEST, "notes"] {
            fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(prune(folder.path(), 2).unwrap(), 1);
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [BEST, &name((9, 5)), &name((10, 0)), "notes"]);
    }
}
