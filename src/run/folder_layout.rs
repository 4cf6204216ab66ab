//! The names of what is in a run's folder, and how it is found and read.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::RunError;

/// The folder for runs whose path is not given.
pub const RUNS: &str = "runs";
/// The config of the run.
pub const CONFIG: &str = "config.toml";
/// The records of the epochs.
pub const HISTORY: &str = "history.csv";
/// The trained parameters.
pub const WEIGHTS: &str = "model.safetensors";
/// The network for Python and C++, with its card.
pub const TORCHSCRIPT: &str = "model.pt";
/// The final metrics.
pub const RESULT: &str = "result.json";

/// The report page of the run.
pub const REPORT: &str = "report.html";
/// The folder of the report's plots: SVG files, and PNG files where there is no SVG or they are requested.
pub const PLOTS: &str = "plots";
/// The folder of TensorBoard's event files.
pub const EVENTS: &str = "tensorboard";

/// The folder of the checkpoints.
pub(super) const CHECKPOINTS: &str = "checkpoints";

pub(super) const FILES: [&str; 6] = [CONFIG, HISTORY, WEIGHTS, TORCHSCRIPT, RESULT, REPORT];

/// The file in a new run's folder that says that the run replaces another.
pub(super) const MARKER: &str = "replaces";
/// The folder in a new run's folder that holds the replaced run until it is removed.
pub(super) const REPLACED: &str = "replaced";

/// Returns `path` with `suffix` appended: `runs/a` and ".new" → `runs/a.new`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    // "." and ".." have no file name.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Creates a new folder: `base` or, if that is taken, `base-2`, `base-3` and so on. An existing folder that is
/// `free` is taken, too.
pub(super) fn create_folder(base: &Path, free: impl Fn(&Path) -> bool) -> io::Result<PathBuf> {
    let numbered = (2u32..).map(|n| beside(base, &format!("-{n}")));
    for path in std::iter::once(base.to_owned()).chain(numbered) {
        // Created here, so that only one of two processes gets it.
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if free(&path) {
                    return Ok(path);
                }
            }
            created => return created.map(|()| path),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Reads a run's file after checking its type and size.
pub(super) fn read(
    folder: &Path,
    file: &'static str,
    least: u64,
    most: u64,
) -> Result<Vec<u8>, RunError> {
    let path = folder.join(file);
    let missing = || RunError::Missing { path: folder.to_owned(), file };
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => missing(),
        _ => RunError::Read { path: path.clone(), source },
    };
    let metadata = fs::metadata(&path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(RunError::NotAFile(path));
    }
    let size = |wanted: String, found: u64| {
        Err(RunError::Size { path: path.clone(), wanted, found: found.to_string() })
    };
    match metadata.len() {
        found if found > most => return size(format!("at most {most}"), found),
        found if found < least => return size(format!("at least {least}"), found),
        _ => {}
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may have grown since.
    File::open(&path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    Ok(bytes)
}
