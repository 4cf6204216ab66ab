//! The check of a downloaded file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::super::catalog::RemoteFile;
use super::super::error::DataError;
use super::super::idx::Members;
use super::super::sha256::sha256;

/// Compares the file at `path` with its known SHA-256, or with that of its contents.
/// Returns `None` if it is correct, else its actual SHA-256.
pub(super) fn check(file: &RemoteFile<'_>, path: &Path) -> Result<Option<String>, DataError> {
    let at = |source| DataError::read(path, source);
    let found = sha256(File::open(path).map_err(at)?).map_err(at)?;
    if found == file.sha256 {
        return Ok(None);
    }
    if let Some(contents) = file.contents {
        // At most one byte more than the contents have: this may be a decompression bomb.
        let limit = contents.bytes.saturating_add(1);
        let input = BufReader::new(File::open(path).map_err(at)?);
        let inside = sha256(Members::new(input).take(limit));
        // A file that cannot be decompressed is wrong, too.
        if inside.is_ok_and(|inside| inside == contents.sha256) {
            return Ok(None);
        }
    }
    Ok(Some(found))
}
