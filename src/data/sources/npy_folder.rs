//! Folders of NumPy's single arrays: `x_train.npy`, `y_train.npy` and so on, as `numpy.save` writes them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::source_kind::SourceKind;
use crate::data::arrays::{Array, Failure, NamedArrays, array, whole};
use crate::data::class_names;
use crate::data::error::DataError;
use crate::data::find_files;
use crate::data::sha256;
use crate::data::source::SourceFile;
use crate::formats::MemoryBudget;

pub(super) const NPY_FOLDER: SourceKind = SourceKind::of_arrays::<NpyFolder>(
    "a folder of NumPy arrays (x_train.npy, y_train.npy and so on)",
    // A folder of IDX files may have other files, too.
    |path| arrays(path).is_ok_and(|found| !found.is_empty()) && !find_files::has_some(path),
);

/// Returns the names of the arrays in a folder, sorted, each with its length in bytes.
fn arrays(dir: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(name) = entry.file_name().to_str().and_then(|name| name.strip_suffix(".npy")) {
            found.push((name.to_owned(), fs::metadata(entry.path())?.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// A folder of `.npy` files.
struct NpyFolder {
    dir: PathBuf,
    names: Vec<String>,
    bytes: u64,
    read: Vec<SourceFile>,
}

impl NamedArrays for NpyFolder {
    fn open(path: &Path) -> Result<Self, DataError> {
        let found = arrays(path).map_err(|source| DataError::read(path, source))?;
        let bytes =
            found.iter().map(|(_, length)| length).fold(0, |sum: u64, l| sum.saturating_add(*l));
        let names = found.into_iter().map(|(name, _)| name).collect();
        Ok(Self { dir: path.to_owned(), names, bytes, read: Vec::new() })
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn budget(&self) -> MemoryBudget {
        let bytes = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        MemoryBudget::new(bytes, MemoryBudget::TIMES)
    }

    fn read(&mut self, name: &str, budget: &mut MemoryBudget) -> Result<Array, Failure> {
        let file = format!("{name}.npy");
        let path = self.dir.join(&file);
        let bytes = whole(&path).map_err(Failure::Data)?;
        let sha256 =
            sha256::sha256(&bytes[..]).map_err(|e| Failure::Data(DataError::read(&path, e)))?;
        if self.read.iter().all(|known| known.name != file) {
            self.read.push(SourceFile { name: file, sha256 });
        }
        Ok(array(name, bytes, budget)?)
    }

    fn class_names(&self) -> Result<Option<Vec<String>>, DataError> {
        class_names::read(&self.dir)
    }

    fn files(&self) -> Vec<SourceFile> {
        self.read.clone()
    }
}
