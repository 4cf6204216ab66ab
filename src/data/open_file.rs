//! Opening files that users name.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::error::DataError;

/// Opens the ordinary file at `path` and returns its length in bytes. Anything else is rejected before it is
/// opened: opening a pipe can block forever.
pub(super) fn ordinary(path: &Path) -> Result<(File, u64), DataError> {
    let at = |source| DataError::read(path, source);
    let metadata = fs::metadata(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => {
            at(io::Error::new(source.kind(), "it is a link, and what it leads to does not exist"))
        }
        _ => at(source),
    })?;
    if !metadata.is_file() {
        return Err(DataError::NotAFile { path: path.to_owned() });
    }
    Ok((File::open(path).map_err(at)?, metadata.len()))
}
