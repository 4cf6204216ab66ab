//! The settings in which runs differ.

use serde::Serialize;
use serde_json::Value;

use crate::data::{ArrayKeys, Source};
use crate::layers::{Dense, Dropout};
use crate::report::page::widths;
use crate::run::{Run, RunConfig};

/// The placeholder for a missing value.
pub(super) const NONE: &str = "-";

/// A setting that differs between the runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Its path in `config.toml`, such as "fit.batch_size", or "data" or "network".
    pub name: String,
    /// Its value in each run, "-" if there is none.
    pub values: Vec<String>,
}

/// Returns the settings in which `runs` differ, in the order of the config.
pub(super) fn differing(runs: &[Run]) -> Vec<Setting> {
    let all: Vec<Vec<(String, String)>> = runs.iter().map(|run| settings(run.config())).collect();
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in all.iter().flatten() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let value = |settings: &[(String, String)], name: &String| {
        let found = settings.iter().find(|(other, _)| other == name);
        found.map_or(NONE.to_owned(), |(_, value)| value.clone())
    };
    let setting = |name: &String| Setting {
        name: name.clone(),
        values: all.iter().map(|settings| value(settings, name)).collect(),
    };
    let differs = |setting: &Setting| setting.values.iter().any(|v| *v != setting.values[0]);
    names.into_iter().map(setting).filter(differs).collect()
}

/// Returns all settings as pairs of name and value.
fn settings(config: &RunConfig) -> Vec<(String, String)> {
    let mut found =
        vec![("data".to_owned(), data(config)), ("targets".to_owned(), targets(config))];
    found.push(("network".to_owned(), network(config)));
    let parts = [
        ("fit", serde_json::to_value(&config.fit)),
        ("callbacks", serde_json::to_value(&config.callbacks)),
        ("checkpoints", serde_json::to_value(&config.checkpoints)),
        ("versions", serde_json::to_value(&config.versions)),
    ];
    for (name, value) in parts {
        flatten(name, &value.unwrap_or(Value::Null), &mut found);
    }
    found.push(("device".to_owned(), config.device.clone()));
    found
}

fn flatten(place: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, value)| flatten(&format!("{place}.{name}"), value, found));
        }
        Value::Null => {}
        Value::String(text) => found.push((place.to_owned(), text.clone())),
        other => found.push((place.to_owned(), other.to_string())),
    }
}

/// Returns the data set as "mnist 8f2c3a1b": its name, and the first bytes of a digest over the digests of
/// all its files.
fn data(config: &RunConfig) -> String {
    use sha2::{Digest, Sha256};

    let digests: Vec<&str> = config.data.files().iter().map(|file| file.sha256.as_str()).collect();
    let digest = Sha256::digest(digests.join("\n"));
    let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{} {short}", config.data.name())
}

/// Returns what is predicted: "10 classes", "3 labels (labels_test)" with the name of their array if it is not the usual
/// one.
fn targets(config: &RunConfig) -> String {
    let targets = config.data.targets.counted(config.data.classes.len());
    let arrays = config.data.source.as_ref().and_then(Source::test_arrays);
    match arrays {
        Some([_, name]) if name != ArrayKeys::default().y_test => format!("{targets} ({name})"),
        _ => targets,
    }
}

/// Returns the network as "784-128-64-10 relu, dropout 0.2".
fn network(config: &RunConfig) -> String {
    let mut text = widths(&config.network);
    let layers = &config.network.layers;
    let inside = layers.iter().filter_map(|layer| Some(layer.get::<Dense>()?.activation.name()));
    let mut activations: Vec<&str> = inside.collect();
    let last = activations.pop();
    activations.dedup();
    for name in activations.iter().chain(last.iter().filter(|name| **name != "linear")) {
        text += &format!(" {name}");
    }
    let rates = layers.iter().filter_map(|layer| Some(layer.get::<Dropout>()?.rate.to_string()));
    let mut rates: Vec<String> = rates.collect();
    rates.dedup();
    if !rates.is_empty() {
        text += &format!(", dropout {}", rates.join("/"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_named_by_their_path() {
        let mut found = Vec::new();
        let value = json!({"a": {"b": 1, "none": null, "list": [1, 2]}, "c": "text"});
        flatten("fit", &value, &mut found);
        let expected = [("fit.a.b", "1"), ("fit.a.list", "[1,2]"), ("fit.c", "text")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
