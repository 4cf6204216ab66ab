//! The paths of exports: their default, and the refusal of those that would overwrite the run's own files.

use std::path::{Path, PathBuf};

use super::Run;
use super::error::RunError;
use super::folder_layout::{CHECKPOINTS, EVENTS, FILES, MARKER, PLOTS, TORCHSCRIPT};
use super::{export_names, folder_lock};
use crate::export::{Format, Options};

impl Run {
    /// Returns the default path of an export: `model.onnx` in the run's folder, or
    /// `model.best.preprocessing.half.onnx`. `checkpoint` is "last" or "best" for weights other than the
    /// final ones.
    pub fn export_path(
        &self,
        format: Format,
        options: Options,
        checkpoint: Option<&str>,
    ) -> PathBuf {
        self.path.join(export_names::name(format, options, checkpoint))
    }

    /// Refuses an output path that would overwrite one of the run's own files; its `model.pt` may be written
    /// again.
    ///
    /// # Errors
    /// [`RunError::OwnFile`].
    pub fn check_output(&self, path: &Path) -> Result<(), RunError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let again = Path::new(TORCHSCRIPT);
        // The file may be a link, or may not exist yet.
        let real = |path: &Path| path.canonicalize().ok();
        let target = real(path).or_else(|| Some(real(folder)?.join(path.file_name()?)));
        let Some(target) = target else { return Ok(()) };
        let own = |run: &Path| {
            let Some(run) = real(run) else { return false };
            let Ok(inside) = target.strip_prefix(&run) else { return false };
            let known = FILES.iter().chain(&[folder_lock::FILE, MARKER]);
            inside.starts_with(CHECKPOINTS)
                || inside.starts_with(PLOTS)
                || inside.starts_with(EVENTS)
                || known.into_iter().any(|name| inside == Path::new(name) && inside != again)
        };
        // The run to be replaced stays as it is until then, and is removed with everything in it.
        let replaced = self.replaces.as_ref().and_then(|replaces| real(replaces.place()));
        let in_replaced = replaced.is_some_and(|place| target.starts_with(place));
        match own(&self.path) || in_replaced {
            true => Err(RunError::OwnFile(path.to_owned())),
            false => Ok(()),
        }
    }
}
