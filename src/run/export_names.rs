//! The names of exported files within a run's folder.

use std::ffi::OsStr;

use super::folder_layout::WEIGHTS;
use crate::export::{Format, Options};

/// The checkpoints that have a name.
const CHECKPOINTS: [&str; 2] = ["last", "best"];

/// Returns the name of an export; see [`Run::export_path`](super::Run::export_path).
pub(super) fn name(format: Format, options: Options, checkpoint: Option<&str>) -> String {
    let parts = [
        checkpoint,
        options.preprocessing.then_some("preprocessing"),
        options.half.then_some("half"),
    ];
    let stem = parts.into_iter().flatten().fold("model".to_owned(), |stem, part| stem + "." + part);
    match stem + format.ending() {
        // The run's own file has that name.
        name if name == WEIGHTS => "model.export.safetensors".to_owned(),
        name => name,
    }
}

/// Returns whether an export has this name.
pub(super) fn is_one(file: &OsStr) -> bool {
    let checkpoints = || CHECKPOINTS.into_iter().map(Some).chain([None]);
    let options = [(false, false), (true, false), (false, true), (true, true)]
        .map(|(preprocessing, half)| Options { preprocessing, half });
    Format::ALL.iter().any(|&format| {
        options.into_iter().any(|options| {
            checkpoints().any(|checkpoint| file == &*name(format, options, checkpoint))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_have_distinct_names() {
        let plain = Options::default();
        let all = Options { preprocessing: true, half: true };
        assert_eq!(name(Format::TorchScript, plain, None), "model.pt");
        assert_eq!(name(Format::StateDict, plain, None), "model.state_dict.pt");
        assert_eq!(name(Format::Safetensors, plain, None), "model.export.safetensors");
        assert_eq!(name(Format::Onnx, all, Some("best")), "model.best.preprocessing.half.onnx");
        for file in ["model.pt", "model.export.safetensors", "model.last.half.weights.h5"] {
            assert!(is_one(OsStr::new(file)), "{file}");
        }
        for file in ["model.safetensors", "notes.txt", "model.mine.onnx", "config.toml"] {
            assert!(!is_one(OsStr::new(file)), "{file}");
        }
    }
}
