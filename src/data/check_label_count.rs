//! The number of labels, which is that of the images.

use std::path::Path;

use super::error::{DataError, FolderProblem};

/// Checks that two files have the same number of images and labels.
pub(super) fn check_counts(
    images: usize,
    labels: usize,
    images_file: &Path,
    labels_file: &Path,
) -> Result<(), DataError> {
    if images == labels {
        return Ok(());
    }
    let labels_file = labels_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(DataError::folder(images_file, FolderProblem::Counts { images, labels, labels_file }))
}
