//! The results of a training, written into the run's folder: weights, network, history, final metrics.

use std::collections::HashMap;
use std::fs;

use super::Run;
use super::checkpoint_folder;
use super::error::RunError;
use super::folder_layout::{CONFIG, HISTORY, RESULT, TORCHSCRIPT, WEIGHTS};
use super::run_result::RunResult;
use crate::atomic_files;
use crate::export::{self, Format, Options};
use crate::model::Sequential;
use crate::train::History;

impl Run {
    /// Writes the trained parameters and the history.
    ///
    /// # Errors
    /// Parameters that are not finite, or files that cannot be written.
    pub fn save(&self, model: &Sequential, history: &History) -> Result<(), RunError> {
        self.save_weights(model)?;
        self.write(HISTORY, history.to_csv().as_bytes())
    }

    /// Writes the parameters and the network for Python, the only results of an imported network.
    ///
    /// # Errors
    /// Like [`save`](Self::save).
    pub fn save_network(&self, model: &Sequential) -> Result<(), RunError> {
        self.save_weights(model)?;
        self.save_torchscript(model, None)
    }

    fn save_weights(&self, model: &Sequential) -> Result<(), RunError> {
        let path = self.path.join(WEIGHTS);
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let weights =
            model.to_safetensors(metadata).map_err(|source| RunError::Save { path, source })?;
        self.write(WEIGHTS, &weights)
    }

    fn save_torchscript(
        &self,
        model: &Sequential,
        result: Option<&RunResult>,
    ) -> Result<(), RunError> {
        let card = self.card_with(result)?;
        let network = export::encode(model, Format::TorchScript, &card, Options::default());
        let network = network
            .map_err(|source| RunError::Export { path: self.path.join(TORCHSCRIPT), source })?;
        self.write(TORCHSCRIPT, &network)
    }

    /// On a full disk, the older checkpoints are removed to free space and the newest stays. A folder that
    /// has been removed meanwhile is created again, so that the trained weights are not lost.
    pub(super) fn write(&self, file: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.path.join(file);
        let folder = self.checkpoints_path();
        if !self.path.exists() {
            let prepare = |source| RunError::Prepare { path: self.path.clone(), source };
            fs::create_dir_all(&self.path).map_err(prepare)?;
            atomic_files::write(&self.path.join(CONFIG), self.config.to_toml()?.as_bytes())?;
        }
        Ok(checkpoint_folder::retry_after_pruning(&folder, || atomic_files::write(&path, bytes))?)
    }

    /// Writes the network for Python, with the final metrics in its card, and the result. Then moves the run
    /// to its final path if it replaces another.
    ///
    /// # Errors
    /// A file that cannot be written, or a folder that cannot be moved.
    pub fn finish(self, model: &Sequential, result: &RunResult) -> Result<Self, RunError> {
        self.save_torchscript(model, Some(result))?;
        let mut text = serde_json::to_string_pretty(result)
            .map_err(|e| RunError::Encode { file: RESULT, message: e.to_string() })?;
        text.push('\n');
        self.write(RESULT, text.as_bytes())?;
        self.settle()
    }

    /// Moves a finished run to its final path if it replaces another.
    ///
    /// # Errors
    /// A folder that cannot be moved.
    pub fn settle(mut self) -> Result<Self, RunError> {
        if let Some(replaces) = self.replaces.take() {
            let place = replaces.finish(&self.path)?;
            if let Some(lock) = &mut self.lock {
                lock.moved_to(&place);
            }
            self.path = place;
        }
        Ok(self)
    }
}
