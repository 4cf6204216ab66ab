//! The identity of a training run: everything that determines its outcome. Resuming with anything else would
//! be another run.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use super::changed_setting::Difference;
use super::run_config::RunConfig;
use crate::train::Engine;

/// Settings, data, network and device of a run. The number of epochs, which may grow, is not part of it
/// unless the learning-rate schedule depends on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(Value);

impl Identity {
    /// Returns the identity of a run with this config.
    ///
    /// # Errors
    /// A config that cannot be represented in JSON, which does not happen with ours.
    pub fn of(config: &RunConfig) -> serde_json::Result<Self> {
        let mut fit = serde_json::to_value(&config.fit)?;
        if let (Some(fit), false) = (fit.as_object_mut(), config.fit.depends_on_length()) {
            fit.remove("epochs");
        }
        if let Some(fit) = fit.as_object_mut() {
            // It changes nothing until training diverges, and changing it may be the way to continue after
            // that.
            fit.remove("on_nan");
            // The number of threads changes no bit of this engine's steps.
            if config.fit.engine == Engine::Fused {
                fit.remove("threads");
            }
        }
        // Digests of the contents, in a fixed order: names and compression of the files may change.
        let files = config.data.source.iter().flat_map(|source| &source.files);
        let digests: Vec<_> = files.map(|file| &file.sha256).collect();
        let mut identity = json!({
            "device": config.device,
            "data": {
                "classes": config.data.classes,
                "sha256": digests,
            },
            "fit": fit,
            "network": config.network,
            "callbacks": config.callbacks,
            "checkpoints": { "monitor": config.checkpoints.monitor },
        });
        // It determines the order of the samples if they are not in memory.
        if let Some(memory) = config.data.stream {
            identity["data"]["stream"] = json!(memory);
        }
        if !config.data.targets.is_class() {
            identity["data"]["targets"] = json!(config.data.targets);
        }
        // The same file may hold several data sets.
        if let Some(arrays) = config.data.source.as_ref().and_then(|source| source.arrays.as_ref())
        {
            identity["data"]["arrays"] = json!(arrays);
        }
        // Weights that the seed generates need no entry.
        if let Some(origin) = &config.origin {
            identity["origin"] = json!({ "sha256": origin.sha256 });
        }
        Ok(Self(identity))
    }

    /// Returns the differences from `other`, in the order of the settings' names.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        compare("", &self.whole(), &other.whole(), &mut found);
        found
    }

    /// Returns the value with the defaults for settings that were not recorded before there was a choice.
    fn whole(&self) -> Value {
        let mut value = self.0.clone();
        if let Some(fit) = value.get_mut("fit").and_then(Value::as_object_mut)
            && !fit.is_empty()
        {
            fit.entry("engine").or_insert_with(|| json!(Engine::Autograd));
        }
        value
    }

    #[cfg(test)]
    pub(super) fn from_value(value: Value) -> Self {
        Self(value)
    }
}

fn compare(place: &str, began: &Value, found: &Value, differences: &mut Vec<Difference>) {
    let inside = |key: &str| match place {
        "" => key.to_owned(),
        place => format!("{place}.{key}"),
    };
    match (began, found) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let value = |of: &serde_json::Map<_, _>| of.get(key).cloned().unwrap_or_default();
                compare(&inside(key), &value(a), &value(b), differences);
            }
        }
        // A layer that differs is one difference, not one for each of its fields.
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b) {
                let setting = inside(&(i + 1).to_string());
                differences.push(Difference { setting, began: a.clone(), found: b.clone() });
            }
        }
        (a, b) if a == b => {}
        (a, b) => differences.push(Difference {
            setting: place.to_owned(),
            began: a.clone(),
            found: b.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Preparation, Request, resolve};
    use crate::run::DataConfig;
    use crate::{Activation, Device, FitConfig, Spec};

    #[test]
    fn the_preparation_is_not_part_of_the_identity() {
        let nowhere = crate::data::Locations { data: None, cache: None, mirrors: None };
        let digits = Request::Named(crate::data::DatasetName::Digits);
        let data = DataConfig::of(&resolve(&digits, &nowhere, &mut |_| {}).unwrap());
        let network = Spec::classifier(&[8, 8], &[4], Activation::Relu, 0.0, 10);
        let config = RunConfig::now(Device::Cpu, data, FitConfig::default(), network);
        let of = |preparation| {
            let mut config = config.clone();
            config.data.preparation = preparation;
            Identity::of(&config).unwrap()
        };
        // Only the pixels determine the outcome, and an older run can be resumed.
        assert_eq!(of(None), of(Some(Preparation::Digit)));
        assert_eq!(of(Some(Preparation::Raw)), of(Some(Preparation::Digit)));
    }

    #[test]
    fn differences_name_the_setting_and_both_values() {
        let of = |value| Identity::from_value(value);
        let a = of(
            json!({"fit": {"batch_size": 32, "seed": 1, "engine": "autograd"}, "layers": [{"units": 3}, 1]}),
        );
        let b = of(json!({"fit": {"batch_size": 64, "loss": "x"}, "layers": [{"units": 4}, 1]}));
        let messages: Vec<String> = a.differences(&b).iter().map(ToString::to_string).collect();
        let expected = [
            "fit.batch_size was 32, found 64",
            "fit.loss was null, found \"x\"",
            "fit.seed was 1, found null",
            "layers.1 was {\"units\":3}, found {\"units\":4}",
        ];
        assert_eq!(messages, expected);
        assert!(a.differences(&a).is_empty());
    }
}
