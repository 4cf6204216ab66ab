//! Which folders have the files of a known data set.

use std::path::Path;

use super::catalog::DatasetName;
use super::cifar_files::Layout;
use super::{emnist_files, find_files};

/// Returns whether a folder has the files of a known data set, or its archive; without a name, those of IDX.
pub(super) fn has_files(name: Option<DatasetName>, dir: &Path) -> bool {
    match name {
        Some(name) if name.is_emnist() => emnist_files::place(dir, Some(name)).is_some(),
        name => match name.and_then(Layout::of) {
            Some(layout) => layout.is_in(dir),
            None => find_files::has_all(dir),
        },
    }
}
