//! Networks in files: a run, or TOML as under [network] in a run's config.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use seqfit::Spec;
use seqfit::layers::Layer;
use seqfit::run::Run;
use serde::Deserialize;

use super::output::Usage;

/// The network of a run, or the one that a TOML file describes.
///
/// # Errors
/// A file that does not describe a network, or one that no network can be built from.
pub fn network(path: &Path) -> anyhow::Result<Spec> {
    if path.is_dir() {
        return Ok(Run::open(path)?.config().network.clone());
    }
    let spec: Spec = parsed(path)?;
    spec.check().with_context(|| path.display().to_string())?;
    Ok(spec)
}

/// Layers, for samples of a shape that may be left to the data.
#[derive(Deserialize)]
struct Layers {
    input_shape: Option<Vec<usize>>,
    layers: Vec<Layer>,
}

/// Returns the layers of a run or of a TOML file, for samples of this shape. The file need not name the shape.
///
/// # Errors
/// Those of [`network`], or another shape.
pub fn network_for(path: &Path, shape: &[usize]) -> anyhow::Result<Spec> {
    let (input_shape, layers) = match path.is_dir() {
        true => {
            let spec = Run::open(path)?.config().network.clone();
            (Some(spec.input_shape), spec.layers)
        }
        false => {
            let Layers { input_shape, layers } = parsed(path)?;
            (input_shape, layers)
        }
    };
    if let Some(found) = input_shape.filter(|found| found != shape) {
        let rule = format!(
            "{} describes a network for samples of shape {found:?}, and these have shape {shape:?}: change \
             input_shape or leave it out",
            path.display()
        );
        return Err(Usage(rule).into());
    }
    let spec = Spec::new(shape, layers);
    let at = |error: seqfit::SpecError| Usage(format!("{}: {error}", path.display()));
    spec.check().map_err(at)?;
    Ok(spec)
}

fn parsed<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    // A description has a few lines; a longer file is something else.
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(1 << 16).read_to_string(&mut text))
        .with_context(|| format!("{} cannot be read as a network", path.display()))?;
    toml::from_str(&text)
        .map_err(|error| Usage(error.message().to_owned()))
        .with_context(|| format!("{} does not describe a network", path.display()))
}
