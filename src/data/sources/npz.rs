//! NumPy's files of several arrays: `.npz`, as `numpy.savez` writes them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::source_kind::SourceKind;
use crate::data::array_keys::ArrayKeys;
use crate::data::arrays::{self, Array, Arrays, ArraysProblem, Failure, NamedArrays, array, whole};
use crate::data::error::DataError;
use crate::data::sha256::{self, Sha256Hex};
use crate::data::source::SourceFile;
use crate::data::targets::TargetKind;
use crate::formats::{Archive, MemoryBudget};

pub(super) const NPZ: SourceKind =
    SourceKind::of_arrays::<Npz>("a file of NumPy arrays (.npz)", is_npz);

/// The first bytes of an archive.
const MAGIC: &[u8] = b"PK";

/// Also without the ending: what is in the file decides.
fn is_npz(path: &Path) -> bool {
    let starts = || {
        let mut start = [0; MAGIC.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == MAGIC
    };
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz"))
        || path.is_file() && starts()
}

/// Reads the data sets in a `.npz` file.
///
/// **Features.** u8 arrays of three or more axes are pixels: `[n, height, width]`, or with channels
/// `[n, channels, height, width]` as PyTorch has them or `[n, height, width, channels]` as Keras has them. The
/// last axis holds the channels if it has 1 or 3 and the second axis has not; they are moved to the front, and a
/// single channel is left out. All other arrays are numbers, of any shape, and taken as they are: u8 arrays of one or
/// two axes, other integers, bool and floats; f64 and large integers are rounded to f32.
///
/// **Targets**, unless `targets` says what they are: integers `[n]` or `[n, 1]` and bool `[n]` are classes, other
/// integers and bool `[n, k]` are several labels and must be 0 or 1, floats `[n]` or `[n, k]` are numbers. One-hot rows
/// (a single 1 in each of k columns) and floats that are all 0 or 1 may be either, and are an error. With
/// [`TargetKind::Class`] one-hot rows are classes, the place of the 1. Text `[n]` or `[n, 1]` (`U` or `S`) is the name of
/// each sample's class; the classes are sorted, as by scikit-learn's `LabelEncoder`.
///
/// **Names** of classes, labels and numbers are in an array of text, `target_names`. Without it they are numbered.
///
/// The memory that a file takes is bounded by its own length: see
/// [`MemoryBudget`](crate::import::MemoryBudget). Pickled objects are not read.
///
/// # Errors
/// A file that cannot be read or is damaged, an array that is missing or of another type, arrays that do not form
/// data sets. The errors name the file, the array, the position and the value.
pub fn load_npz(
    path: impl AsRef<Path>,
    keys: &ArrayKeys,
    targets: Option<TargetKind>,
) -> Result<Arrays, DataError> {
    let path = path.as_ref();
    arrays::read_all(&mut Npz::open(path)?, path, keys, targets, None)
}

/// A `.npz` file in memory.
pub(super) struct Npz {
    path: PathBuf,
    bytes: Vec<u8>,
    sha256: Sha256Hex,
    names: Vec<String>,
}

impl NamedArrays for Npz {
    fn open(path: &Path) -> Result<Self, DataError> {
        let bytes = whole(path)?;
        let at = |problem| DataError::Arrays { path: path.to_owned(), problem: Box::new(problem) };
        if bytes.starts_with(b"\x93NUMPY") {
            return Err(at(ArraysProblem::NotNpz("a single array (.npy)")));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(at(ArraysProblem::NotNpz("something else")));
        }
        let archive = Archive::open(&bytes).map_err(|problem| at(problem.into()))?;
        let arrays = archive.names().filter_map(|name| name.strip_suffix(".npy"));
        let names = arrays.map(ToOwned::to_owned).collect();
        let sha256 = sha256::sha256(&bytes[..]).map_err(|source| DataError::read(path, source))?;
        Ok(Self { path: path.to_owned(), bytes, sha256, names })
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn budget(&self) -> MemoryBudget {
        MemoryBudget::new(self.bytes.len(), MemoryBudget::PACKED)
    }

    fn read(&mut self, name: &str, budget: &mut MemoryBudget) -> Result<Array, Failure> {
        let bytes = Archive::open(&self.bytes)?.read(&format!("{name}.npy"), budget)?;
        Ok(array(name, bytes, budget)?)
    }

    fn files(&self) -> Vec<SourceFile> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        vec![SourceFile { name, sha256: self.sha256.clone() }]
    }
}
