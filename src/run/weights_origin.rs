//! Where a run's initial weights came from, if the seed did not generate them.

use std::fs::{self, File};
use std::path::{self, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RunError;
use crate::data::sha256::{self, Sha256Hex};

/// The file that a run's initial weights came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Its absolute path.
    pub file: PathBuf,
    /// Its format as text: "torch.save".
    pub format: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256Hex,
}

impl Origin {
    /// Describes a file.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn of(file: &Path, format: &str) -> Result<Self, RunError> {
        let unreadable = |source| RunError::Read { path: file.to_owned(), source };
        let sha256 = File::open(file).and_then(sha256::sha256).map_err(unreadable)?;
        let file = path::absolute(file).map_err(unreadable)?;
        Ok(Self { file, format: format.to_owned(), sha256 })
    }

    /// Returns the file's bytes, if they are still the same.
    ///
    /// # Errors
    /// A file that no longer exists or has changed.
    pub fn read(&self) -> Result<Vec<u8>, RunError> {
        let Self { file: path, .. } = self;
        let unreadable = |source| RunError::Read { path: path.clone(), source };
        let bytes = fs::read(path).map_err(unreadable)?;
        match sha256::sha256(&bytes[..]).map_err(unreadable)? {
            found if found == self.sha256 => Ok(bytes),
            found => {
                let (path, expected) = (path.clone(), self.sha256.clone());
                Err(RunError::Origin { path, expected, found })
            }
        }
    }
}
