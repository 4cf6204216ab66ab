//! The trained network of a run, read from its folder.

use std::path::PathBuf;

use super::Run;
use super::error::RunError;
use super::folder_layout::{CONFIG, WEIGHTS, read};
use super::folder_lock;
use super::weights_origin::Origin;
use crate::device::Device;
use crate::model::{Sequential, Summary};

impl Run {
    /// Loads the trained network onto `device`.
    ///
    /// # Errors
    /// A run without weights, weights that do not match its network, or a device that does not exist.
    pub fn load_model(&self, device: Device) -> Result<Sequential, RunError> {
        let network = self.config.network.clone();
        let at_config = |source| RunError::Model { path: self.path.join(CONFIG), source };
        let summary = Summary::new(&network).map_err(|error| at_config(error.into()))?;
        // The parameters, plus space for a header that names them: checked before memory is allocated for a
        // network of that size.
        let parameters = 4 * summary.parameters() as u64;
        self.weights_path()?;
        let bytes = read(&self.path, WEIGHTS, parameters, parameters + (1 << 20))?;
        let mut model =
            Sequential::from_spec(network, device, self.config.fit.seed).map_err(at_config)?;
        model
            .load_safetensors(&bytes)
            .map_err(|source| RunError::Weights { path: self.path.join(WEIGHTS), source })?;
        Ok(model)
    }

    /// Returns the path of the trained parameters.
    ///
    /// # Errors
    /// A run that is not finished, or whose weights are missing.
    pub fn weights_path(&self) -> Result<PathBuf, RunError> {
        let path = self.path.join(WEIGHTS);
        let begun =
            || self.checkpoints_path().is_dir() || self.path.join(folder_lock::FILE).exists();
        match path.try_exists() {
            Ok(false) if begun() => Err(RunError::Unfinished(self.path.clone())),
            Ok(false) => Err(RunError::Missing { path: self.path.clone(), file: WEIGHTS }),
            // An error is found again when it is read.
            Ok(true) | Err(_) => Ok(path),
        }
    }

    /// Describes this run's weights as the origin of a run that starts from them.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn origin(&self) -> Result<Origin, RunError> {
        Origin::of(&self.path.join(WEIGHTS), "safetensors")
    }
}
