//! Networks in files: a run, or TOML as under [network] in a run's config.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use seqfit::Spec;
use seqfit::layers::Layer;
use seqfit::run::Run;
use seqfit::text::{did_you_mean, in_plain_words, with_line};
use serde::Deserialize;
use toml::{Table, Value};

/// How a file lists its layers.
const FORM: &str = "write layers = [{ type = \"flatten\" }, { type = \"dense\", units = 10 }], for example, or as \
    under [network] in a run's config.toml";

/// The most bytes of a description. A longer file is something else.
const MOST: u64 = 1 << 20;

/// The network of a run, or the one that a TOML file describes.
///
/// # Errors
/// A file that does not describe a network, or one that no network can be built from.
pub fn network(path: &Path) -> anyhow::Result<Spec> {
    if path.is_dir() {
        return Ok(Run::open(path)?.config().network.clone());
    }
    let spec = described(path, None)?;
    spec.check().with_context(|| path.display().to_string())?;
    Ok(spec)
}

/// Returns the layers of a run or of a TOML file, for samples of this shape. The file need not name the shape.
///
/// # Errors
/// Those of [`network`], or another shape.
pub fn network_for(path: &Path, shape: &[usize]) -> anyhow::Result<Spec> {
    let Spec { input_shape, layers, .. } = match path.is_dir() {
        true => Run::open(path)?.config().network.clone(),
        false => described(path, Some(shape))?,
    };
    anyhow::ensure!(
        input_shape == shape,
        "{} describes a network for samples of shape {input_shape:?}, and these have shape {shape:?}: change \
         input_shape or leave it out",
        path.display()
    );
    let spec = Spec::new(shape, layers);
    spec.check().with_context(|| path.display().to_string())?;
    Ok(spec)
}

/// Reads a TOML file, of which `shape` is the input shape if it names none.
fn described(path: &Path, shape: Option<&[usize]>) -> anyhow::Result<Spec> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MOST).read_to_string(&mut text))
        .map_err(|error| {
            anyhow::anyhow!("{error}: give the folder of a run, or a TOML file of layers")
        })
        .with_context(|| format!("{} cannot be read as a network", path.display()))?;
    spec_in(&text, shape)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("{} does not describe a network", path.display()))
}

/// Reads a network, or the one in the config of a run.
fn spec_in(text: &str, shape: Option<&[usize]>) -> Result<Spec, String> {
    let mut table: Table = toml::from_str(text).map_err(|error| with_line(&error, text))?;
    if let Some(Value::Table(network)) = table.remove("network") {
        table = network;
    }
    let layers = table.get("layers").and_then(Value::as_array);
    let layers = layers.filter(|layers| !layers.is_empty());
    let layers = layers.ok_or_else(|| format!("it lists no layers: {FORM}"))?;
    for (i, layer) in layers.iter().enumerate() {
        check_layer(layer).map_err(|problem| format!("layer {}: {problem}", i + 1))?;
    }
    if let Some(shape) = shape.filter(|_| !table.contains_key("input_shape")) {
        let shape = Value::try_from(shape).map_err(|error| error.to_string())?;
        table.insert("input_shape".to_owned(), shape);
    }
    table.try_into().map_err(|error: toml::de::Error| in_plain_words(error.message()))
}

/// Checks one of the layers, so that an error can name it.
fn check_layer(layer: &Value) -> Result<(), String> {
    let named = layer.get("type").and_then(Value::as_str);
    if let Some(found) = named.filter(|name| !Layer::TYPES.contains(name)) {
        let cure = did_you_mean(found, Layer::TYPES.iter().map(|name| (*name, *name)));
        let (shown, types) = (found.chars().take(60).collect::<String>(), Layer::TYPES.join(", "));
        return Err(format!("{shown:?} is not a type of layers ({types}): {cure}"));
    }
    Layer::deserialize(layer.clone()).map_err(|error| in_plain_words(error.message()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: &str = "layers = [{ type = \"flatten\" }, { type = \"dense\", units = 3 }]";

    #[test]
    fn a_run_s_config_describes_its_network() {
        let spec = spec_in(LAYERS, Some(&[2, 2])).unwrap();
        let config =
            format!("seqfit = 1\n[network]\ninput_shape = [2, 2]\n{LAYERS}\n[fit]\nepochs = 3");
        assert_eq!(spec_in(&config, None), Ok(spec));
    }

    #[test]
    fn the_network_in_the_documentation_can_be_built() {
        let page = include_str!("../../docs/networks.md");
        let (_, rest) = page.split_once("```toml\n").unwrap();
        let (text, _) = rest.split_once("```").unwrap();
        let spec = spec_in(text, None).unwrap();
        assert!(spec.check().is_ok());
        assert_eq!(spec.outputs(), 10);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_layer_in_plain_words() {
        for (text, message) in [
            ("layers = []", "it lists no layers: write layers = [{ type = \"flatten\" }"),
            ("units = 3", "it lists no layers"),
            ("layers = 3", "it lists no layers"),
            ("layers = [", "line 1 (layers = [): "),
            ("layers = [{ type = \"dense\" }]", "layer 1: missing field `units`"),
            (
                "layers = [{ type = \"flatten\" }, { type = \"dense\", units = \"3\" }]",
                "layer 2: invalid type: string \"3\", expected a whole number of at least 0",
            ),
            (
                "layers = [{ type = \"dense\", units = -3 }]",
                "layer 1: invalid value: integer `-3`, expected a whole number of at least 0",
            ),
            (
                "layers = [{ type = \"conv2d\", filters = 3, kernel_size = [1, 2, 3] }]",
                "layer 1: a size is a whole number, or two: [height, width]",
            ),
            (
                "layers = [{ type = \"zero_padding2d\", padding = \"all\" }]",
                "layer 1: padding is a whole number, two of them, or two pairs",
            ),
            (
                "layers = [{ type = \"danse\", units = 3 }]",
                "layer 1: \"danse\" is not a type of layers (flatten, dense, ",
            ),
            (
                "layers = [{ type = \"prelu\", foo = 1 }]",
                "layer 1: prelu has no settings, found foo",
            ),
            (
                "layers = [{ type = \"flatten\", a = 1, b = 2 }]",
                "layer 1: flatten has no settings, found a, b",
            ),
            ("layers = [{ units = 3 }]", "layer 1: a layer is a table with its type, such as "),
            ("layers = [3]", "layer 1: a layer is a table with its type"),
            (&format!("hidden = 3\n{LAYERS}"), "unknown field `hidden`"),
        ] {
            let error = spec_in(text, Some(&[4])).unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
            assert!(!error.contains("enum") && !error.contains("usize"), "{text}: {error}");
        }
        assert_eq!(spec_in(LAYERS, None), Err("missing field `input_shape`".to_owned()));
    }
}
