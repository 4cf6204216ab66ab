//! The picture that `predict --looks` draws: where the network looks in a picture.

use std::path::{Path, PathBuf};

use seqfit::data::{Features, PictureShape, TargetKind};
use seqfit::report::occlusion_png;
use seqfit::{Sequential, files};

use super::super::output::Usage;
use super::super::output_files::{self, FileKind, OutputFile};

/// Places of the covering patch along a side.
const PLACES: usize = 8;

/// Checks that `path` can be written, and that there is one file to look at, of classes or labels.
pub fn check(path: &Path, read: &[PathBuf], targets: TargetKind) -> anyhow::Result<()> {
    let usage = |rule: String| Err(Usage(rule).into());
    let [picture] = read else {
        return usage(format!(
            "--looks is for one picture, found {} files: leave the others out",
            read.len()
        ));
    };
    if targets == TargetKind::Numbers {
        let rule =
            "--looks is for classes and labels, and the network predicts numbers: leave it out";
        return usage(rule.to_owned());
    }
    if path.canonicalize().is_ok_and(|path| picture.canonicalize().is_ok_and(|own| own == path)) {
        return usage(format!(
            "--looks would replace the picture {}: give another name",
            picture.display()
        ));
    }
    output_files::check(&[OutputFile { option: "--looks", path, kind: FileKind::Png }])
}

/// Draws where the network looks for the class that it predicts for a picture.
pub fn write(
    path: &Path,
    model: &Sequential,
    picture: &Features,
    prediction: &[f32],
    names: usize,
) -> anyhow::Result<String> {
    let (Some(pixels), Some(shape)) = (picture.as_pixels(), PictureShape::of(picture.shape()))
    else {
        return Err(
            Usage("--looks is for pictures, found other samples: leave it out".to_owned()).into()
        );
    };
    let values = model.spec().output.by_name(prediction.to_vec(), names);
    let class = (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap_or(0);
    // A single label is what its output is the probability of, as the second of two classes is.
    let class = class + usize::from(names == 1);
    let map = model.occlusion_map(picture, class, PLACES)?;
    files::write(path, &occlusion_png(pixels, shape, &map)?)?;
    Ok(format!("wrote {}", path.display()))
}
