//! The folder of a run's checkpoints: which there are, which is the newest whole one, which may go.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::error::RunError;
use crate::files::{self, WriteError};
use crate::train::SnapshotError;

/// The folder in a run's.
pub const FOLDER: &str = "checkpoints";
/// The checkpoint of the best epoch.
pub const BEST: &str = "best.safetensors";

const END: &str = ".safetensors";
/// What is put behind the name of a file that is damaged.
const DAMAGED: &str = ".damaged";

/// The place of a checkpoint in its run: finished epochs, and batches of the next one.
pub type Place = (usize, usize);

/// A file that was passed over, and why.
#[derive(Debug)]
pub struct Damaged {
    /// The file, under the name that it has now.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file in the folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It is no whole checkpoint.
    #[error(transparent)]
    Contents(#[from] CheckpointError),
    /// Its name says another place than its contents.
    #[error("its name must say where the run was, found {found} in it")]
    Place {
        /// What its contents say.
        found: String,
    },
    /// It is whole, and this training cannot go on from it.
    #[error("it does not fit the run: {0}")]
    Unfit(#[from] SnapshotError),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
}

impl Problem {
    /// Whether nothing is wrong with the file itself: another seqfit reads it, or it may be readable again.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Contents(CheckpointError::Format(_)))
    }
}

/// `epoch-0003.safetensors`, `epoch-0003-batch-000120.safetensors`: after so many finished epochs,
/// and so many batches of the next.
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

/// The checkpoints in `folder`, oldest first; none if there is no such folder.
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

/// Reads one, which must be what its name says.
///
/// # Errors
/// What is wrong with it.
pub fn read(path: &Path) -> Result<Checkpoint, Problem> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no ordinary file").into());
    }
    let checkpoint = Checkpoint::from_bytes(&fs::read(path)?)?;
    let state = &checkpoint.snapshot.state;
    let told = path.file_name().and_then(|name| name.to_str()).and_then(place);
    match told {
        Some(told) if told != (state.epoch, state.batch) => {
            Err(Problem::Place { found: checkpoint.snapshot.place() })
        }
        _ => Ok(checkpoint),
    }
}

/// A checkpoint that a run may go on from, and its file.
#[derive(Debug)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub checkpoint: Checkpoint,
}

/// The files to go on from, in the order that they are to be tried in: the newest first, the best last.
pub(super) fn candidates(folder: &Path) -> io::Result<impl Iterator<Item = PathBuf>> {
    let numbered = list(folder)?.into_iter().rev().map(|(_, path)| path);
    let best = Some(folder.join(BEST)).filter(|path| path.exists());
    Ok(numbered.chain(best))
}

/// Gives a file that cannot be used another name, so that it is in nobody's way. The caller holds the
/// run's lock.
pub(super) fn quarantine(path: PathBuf, problem: Problem) -> Result<Damaged, RunError> {
    let aside = PathBuf::from(format!("{}{DAMAGED}", path.display()));
    match fs::rename(&path, &aside) {
        Ok(()) => Ok(Damaged { path: aside, problem }),
        Err(source) => Err(RunError::Read { path, source }),
    }
}

/// Whether `folder` holds nothing, or is not there; half-written files count as nothing.
pub(super) fn is_empty(folder: &Path) -> io::Result<bool> {
    Ok(entries(folder)?.iter().all(|path| files::is_temporary(path)))
}

/// Removes half-written files, which a process that was killed has left.
///
/// # Errors
/// A folder that cannot be read, or a file that cannot be removed.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    let all = entries(folder)?;
    all.iter().filter(|path| files::is_temporary(path)).try_for_each(fs::remove_file)
}

/// What is in `folder`; nothing if it is not there.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// Writes a checkpoint: under another name, forced to the disk, read back and compared, and only
/// then under its own.
///
/// # Errors
/// The file that could not be written.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    files::write_verified(path, bytes, |temporary| match holds(temporary, bytes)? {
        true => Ok(()),
        false => Err(io::Error::other("reading it back gives something else: check the disk")),
    })
}

/// Whether a file holds just these bytes; read piece by piece, not into as much memory again.
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

/// Removes those beyond `place`: the run has gone back to it.
///
/// # Errors
/// A folder that cannot be read, or a file that cannot be removed.
pub(super) fn forget(folder: &Path, place: Place) -> io::Result<()> {
    let beyond = list(folder)?.into_iter().filter(|(own, _)| *own > place);
    beyond.into_iter().try_for_each(|(_, path)| fs::remove_file(path))
}

/// Removes all but the newest `keep`, and tells how many.
///
/// # Errors
/// A folder that cannot be read, or a file that cannot be removed.
pub(super) fn prune(folder: &Path, keep: usize) -> io::Result<usize> {
    let all = list(folder)?;
    let old = all.len().saturating_sub(keep);
    all.iter().take(old).try_for_each(|(_, path)| fs::remove_file(path))?;
    Ok(old)
}

/// Writes with `write`; if the disk is full, once more after all checkpoints in `folder` but the
/// newest have made room.
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
    fn names_say_the_place() {
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
    fn reading_back_notices_every_difference() {
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
    fn the_oldest_go_first_and_the_best_stays() {
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
