//! The checkpoints of a run: the newest that fits, and the network of one.

use std::path::{Path, PathBuf};

use super::Run;
use super::checkpoint_file::Checkpoint;
use super::checkpoint_folder::{self, Candidate, Damaged};
use super::error::RunError;
use super::folder_layout::CONFIG;
use crate::device::Device;
use crate::model::Sequential;
use crate::train::{Snapshot, SnapshotError};

impl Run {
    /// Returns the newest intact checkpoint, or the best one if there is no other, and the damaged ones, which
    /// are quarantined.
    ///
    /// # Errors
    /// [`RunError::Foreign`] for a checkpoint of other settings or data than the config's, or a folder that
    /// cannot be read or changed. Nothing is quarantined then.
    pub fn newest_checkpoint(&self) -> Result<(Option<Candidate>, Vec<Damaged>), RunError> {
        self.newest_that_fits::<RunError>(|_| Ok(Ok(())))
    }

    /// Like [`newest_checkpoint`](Self::newest_checkpoint), but only among those that `fits` accepts. If one
    /// is accepted, the rejected ones are quarantined, too.
    ///
    /// # Errors
    /// Like [`newest_checkpoint`](Self::newest_checkpoint); the errors of `fits`; [`RunError::Checkpoint`]
    /// for the newest intact checkpoint if none fits.
    pub fn newest_that_fits<E: From<RunError>>(
        &self,
        mut fits: impl FnMut(&Snapshot) -> Result<Result<(), SnapshotError>, E>,
    ) -> Result<(Option<Candidate>, Vec<Damaged>), E> {
        let folder = self.checkpoints_path();
        let unreadable = |source| RunError::Read { path: folder.clone(), source };
        let (mut found, mut aside, mut unfit) = (None, Vec::new(), None);
        for path in checkpoint_folder::candidates(&folder).map_err(unreadable)? {
            let checkpoint = match checkpoint_folder::read(&path) {
                Ok(checkpoint) => checkpoint,
                Err(problem) if problem.is_transient() => {
                    return Err(RunError::Checkpoint { path, source: problem }.into());
                }
                Err(problem) => {
                    aside.push((path, problem));
                    continue;
                }
            };
            self.check_own(&path, &checkpoint)?;
            match fits(&checkpoint.snapshot)? {
                Ok(()) => {
                    found = Some(Candidate { path, checkpoint });
                    break;
                }
                Err(problem) => {
                    unfit.get_or_insert(aside.len());
                    aside.push((path, problem.into()));
                }
            }
        }
        // If none fits, the rejected ones are all there is, and stay.
        if let (None, Some(newest)) = (&found, unfit) {
            let (path, source) = aside.swap_remove(newest);
            return Err(RunError::Checkpoint { path, source }.into());
        }
        let aside =
            aside.into_iter().map(|(path, problem)| checkpoint_folder::quarantine(path, problem));
        Ok((found, aside.collect::<Result<_, _>>()?))
    }

    /// Returns the newest checkpoint if the run has continued since [`result`](Self::result) was written.
    pub fn newer_checkpoint(&self) -> Option<PathBuf> {
        let result = self.result()?;
        let (place, path) = checkpoint_folder::list(&self.checkpoints_path()).ok()?.pop()?;
        (place > (result.epochs, result.batch)).then_some(path)
    }

    /// Loads the network of a checkpoint of this run onto `device`.
    ///
    /// # Errors
    /// A file that is not an intact checkpoint, or one of another network; a device that does not exist.
    pub fn load_checkpoint(&self, path: &Path, device: Device) -> Result<Sequential, RunError> {
        let checkpoint = checkpoint_folder::read(path)
            .map_err(|source| RunError::Checkpoint { path: path.to_owned(), source })?;
        self.check_own(path, &checkpoint)?;
        let network = self.config.network.clone();
        let mut model = Sequential::from_spec(network, device, self.config.fit.seed)
            .map_err(|source| RunError::Model { path: self.path.join(CONFIG), source })?;
        model
            .set_weights(&checkpoint.snapshot.best_weights())
            .map_err(|source| RunError::Weights { path: path.to_owned(), source })?;
        Ok(model)
    }

    fn check_own(&self, path: &Path, checkpoint: &Checkpoint) -> Result<(), RunError> {
        match checkpoint.identity.differences(&self.identity()?) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(RunError::Foreign { path: path.to_owned(), differences }),
        }
    }
}
