//! Reading a file of arrays.

use std::io::Read;
use std::path::Path;

use crate::data::error::DataError;
use crate::data::open_file::ordinary;
use crate::formats::FormatProblem;
use crate::native::reserved;

/// Reads a whole file.
pub(in crate::data) fn whole(path: &Path) -> Result<Vec<u8>, DataError> {
    let (file, length) = ordinary(path)?;
    let bytes = reserved(usize::try_from(length).unwrap_or(usize::MAX));
    let mut bytes = bytes.map_err(|bytes| {
        let problem = FormatProblem::Memory { bytes }.into();
        DataError::Arrays { path: path.to_owned(), problem: Box::new(problem) }
    })?;
    // It may have grown since.
    file.take(length).read_to_end(&mut bytes).map_err(|source| DataError::read(path, source))?;
    Ok(bytes)
}
