//! The layers of a Keras config as layers of ours. An unknown setting that changes the output
//! is an error that names it; settings that affect only training are ignored.

use serde_json::{Map, Value};

use super::description::shown;
use super::layer_chain::{Step, check_own, steps};
use crate::import::output_activation;
use crate::layers::{Activation, Dense, Dropout, Flatten, Layer};
use crate::model::Spec;

/// A Dense layer of a config.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DenseLayer {
    /// Where Keras 3 keeps its variables.
    pub path: String,
    /// The layer of the outermost model that contains it.
    pub top: String,
    pub name: String,
    pub bias: bool,
}

/// A model's description.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Model {
    /// Its Dense layers; none if not even their order is known.
    pub dense: Option<Vec<DenseLayer>>,
    /// The network, or the unsupported layer. Without an input shape it takes the number of values that the first
    /// Dense layer takes.
    pub network: Option<Result<Spec, String>>,
}

/// Reads the description of a model: that of a `.keras` file, or the `model_config` of a `.h5`.
pub(super) fn model(config: &Value) -> Model {
    let steps = match steps(config) {
        Ok(steps) => steps,
        Err(what) => return Model { dense: None, network: Some(Err(what)) },
    };
    let dense = steps.iter().filter(|step| step.class() == "Dense").map(dense_layer).collect();
    Model { dense: Some(dense), network: Some(network(config, &steps)) }
}

fn dense_layer(step: &Step<'_>) -> DenseLayer {
    let bias = step.config()["use_bias"].as_bool().unwrap_or(true);
    let (path, top, name) = (step.path.clone(), step.top.clone(), step.name.clone());
    DenseLayer { path, top, name, bias }
}

fn network(config: &Value, steps: &[Step<'_>]) -> Result<Spec, String> {
    let mut layers = Vec::new();
    for step in steps {
        let at = |what: String| match step.name.is_empty() {
            true => what,
            false => format!("{what} ({:?})", step.name.chars().take(60).collect::<String>()),
        };
        check_own(step.entry).map_err(at)?;
        add(step, &mut layers).map_err(at)?;
    }
    let input_shape = input_shape(config, steps, shape);
    Ok(output_activation::by_last_layer(Spec::new(input_shape.unwrap_or_default(), layers)))
}

/// Returns the first shape that a description names for its input and that can be read.
pub(super) fn input_shape(
    config: &Value,
    steps: &[Step<'_>],
    read: impl Fn(&Value) -> Option<Vec<usize>>,
) -> Option<Vec<usize>> {
    let first = steps.first().map_or(&Value::Null, Step::config);
    let places = [
        &first["batch_shape"],
        &first["batch_input_shape"],
        &config["config"]["build_input_shape"],
        &config["build_config"]["input_shape"],
    ];
    places.into_iter().find_map(read)
}

/// `[null, 28, 28]` or `[null, 28, 28, 1]` → [28, 28]
fn shape(value: &Value) -> Option<Vec<usize>> {
    let (_, sizes) = value.as_array()?.split_first()?;
    let sizes = sizes.iter().map(|size| size.as_u64()?.try_into().ok());
    let mut sizes: Vec<usize> = sizes.collect::<Option<_>>()?;
    if let [_, _, 1] = sizes[..] {
        sizes.pop();
    }
    Some(sizes)
}

/// Settings that do not change the output of a trained layer.
const TRAINING: [&str; 19] = [
    "name",
    "trainable",
    "dtype",
    "batch_shape",
    "batch_input_shape",
    "batch_size",
    "input_shape",
    "input_dtype",
    "sparse",
    "ragged",
    "optional",
    "kernel_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "bias_regularizer",
    "activity_regularizer",
    "kernel_constraint",
    "bias_constraint",
    "seed",
];

/// Checks that a layer has only settings for training and the `known` ones; null settings are ignored.
pub(super) fn only(config: &Value, known: &[&str]) -> Result<(), String> {
    let empty = Map::new();
    let settings = config.as_object().unwrap_or(&empty);
    let other = settings.iter().find(|(key, value)| {
        !value.is_null() && !known.contains(&key.as_str()) && !TRAINING.contains(&key.as_str())
    });
    match other {
        Some((key, value)) => Err(format!(" with {key} = {}", shown(value))),
        None => not_quantized(&config["dtype"]),
    }
}

/// Rejects quantized layers, whose weights are integers with scales.
fn not_quantized(dtype: &Value) -> Result<(), String> {
    let name = dtype["config"]["name"].as_str().or(dtype.as_str()).unwrap_or("float32");
    match name.contains("int") || name.contains("float8") {
        true => Err(format!(" with dtype = {}", name.chars().take(60).collect::<String>())),
        false => Ok(()),
    }
}

fn add(step: &Step<'_>, layers: &mut Vec<Layer>) -> Result<(), String> {
    let (class, config) = (step.class(), step.config());
    let only = |known: &[&str]| only(config, known).map_err(|setting| format!("{class}{setting}"));
    match class {
        // Its type may be an integer type: pixels have one.
        "InputLayer" => {}
        "Flatten" => {
            only(&["data_format"])?;
            if config["data_format"] == "channels_first" {
                return Err("Flatten with data_format = channels_first".to_owned());
            }
            layers.push(Flatten.into());
        }
        "Reshape" => {
            only(&["target_shape"])?;
            match config["target_shape"].as_array().map(Vec::len) {
                Some(1) => layers.push(Flatten.into()),
                _ => return Err(format!("Reshape to {}", shown(&config["target_shape"]))),
            }
        }
        "Dense" => {
            only(&["units", "activation", "use_bias"])?;
            let units = config["units"].as_u64().and_then(|units| units.try_into().ok());
            let units = units.ok_or("Dense without units")?;
            layers.push(Dense::new(units).activation(named(&config["activation"])?).into());
        }
        "Dropout" => {
            only(&["rate", "noise_shape"])?;
            let rate = config["rate"].as_f64().ok_or("Dropout without a rate")?;
            layers.push(Dropout::new(rate).into());
        }
        // They do nothing except in training.
        "Identity"
        | "ActivityRegularization"
        | "GaussianNoise"
        | "GaussianDropout"
        | "AlphaDropout" => {}
        _ => apply(activation(step.entry)?, layers).map_err(|what| format!("{class}{what}"))?,
    }
    Ok(())
}

/// Sets an activation on the Dense layer before it.
fn apply(activation: Activation, layers: &mut [Layer]) -> Result<(), String> {
    if activation == Activation::Linear {
        return Ok(());
    }
    // Dropout does nothing once the network is trained.
    let last = layers.iter_mut().rev().find(|layer| !layer.is::<Dropout>());
    let dense = last.as_ref().and_then(|layer| layer.get::<Dense>().copied());
    match (last, dense.filter(|dense| dense.activation == Activation::Linear)) {
        (Some(layer), Some(dense)) => {
            *layer = dense.activation(activation).into();
            Ok(())
        }
        _ => Err(" that follows no Dense layer without an activation".to_owned()),
    }
}

/// Returns the activation that a layer applies: an object with its class and settings.
pub(super) fn activation(layer: &Value) -> Result<Activation, String> {
    let config = &layer["config"];
    let class = shown(&layer["class_name"]);
    let only = |known: &[&str]| only(config, known).map_err(|setting| format!("{class}{setting}"));
    let zero = |key: &str| config[key].is_null() || config[key].as_f64() == Some(0.0);
    match &class[..] {
        "Activation" => {
            only(&["activation"])?;
            named(&config["activation"])
        }
        "ReLU" => {
            only(&["max_value", "negative_slope", "threshold"])?;
            let plain =
                config["max_value"].is_null() && zero("negative_slope") && zero("threshold");
            plain.then_some(Activation::Relu).ok_or_else(|| {
                let setting = |key: &str| format!("{key} = {}", shown(&config[key]));
                let settings = ["max_value", "negative_slope", "threshold"].map(setting).join(", ");
                format!("ReLU with {settings}")
            })
        }
        "Softmax" => {
            only(&["axis"])?;
            let axis = &config["axis"];
            let last = axis.is_null() || *axis == -1 || axis.as_array().is_some_and(|a| a == &[-1]);
            last.then_some(Activation::Softmax)
                .ok_or_else(|| format!("Softmax with axis = {}", shown(axis)))
        }
        _ => Err(class),
    }
}

/// Returns the activation that a setting names: a text, or an object.
pub(super) fn named(value: &Value) -> Result<Activation, String> {
    let name = match value {
        Value::Null => "linear",
        Value::String(name) => name,
        Value::Object(object) => {
            check_own(value)?;
            return match (&object["class_name"], object.get("config")) {
                (Value::String(class), Some(name @ Value::String(_))) if class == "function" => {
                    named(name)
                }
                (_, Some(Value::Object(_))) => activation(value),
                _ => Err(format!("activation {}", shown(value))),
            };
        }
        other => return Err(format!("activation {}", shown(other))),
    };
    // Keras has two names for it.
    let name = if name == "swish" { "silu" } else { name };
    let known = Activation::ALL.into_iter().find(|activation| activation.name() == name);
    // Keras 2 has another function of that name.
    let known = known.filter(|activation| *activation != Activation::HardSigmoid);
    known.ok_or_else(|| format!("activation {:?}", name.chars().take(60).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sequential(layers: Value) -> Value {
        json!({"class_name": "Sequential", "config": {"layers": layers}})
    }

    fn layer(class: &str, config: Value) -> Value {
        json!({"class_name": class, "config": config})
    }

    fn found(layers: Value) -> Result<Spec, String> {
        model(&sequential(layers)).network.unwrap()
    }

    fn dense(activation: Value) -> Value {
        layer("Dense", json!({"units": 3, "activation": activation}))
    }

    fn input() -> Value {
        layer("InputLayer", json!({"batch_shape": [null, 4, 5, 1]}))
    }

    #[test]
    fn a_sequential_is_described() {
        let softmax = layer("Activation", json!({"activation": "softmax"}));
        let relu =
            layer("ReLU", json!({"max_value": null, "negative_slope": 0.0, "threshold": 0.0}));
        let relu_object = dense(relu.clone());
        let dropout = layer("Dropout", json!({"rate": 0.5, "seed": 3, "noise_shape": null}));
        let flatten = layer("Flatten", json!({"data_format": "channels_last"}));
        let layers = json!([
            input(),
            flatten,
            dense(json!("swish")),
            relu_object,
            dense(json!("linear")),
            dropout,
            relu,
            layer("Identity", json!({})),
            dense(json!(null)),
            softmax
        ]);
        let unit = |activation| Dense::new(3).activation(activation).into();
        let expected = vec![
            Flatten.into(),
            unit(Activation::Silu),
            unit(Activation::Relu),
            unit(Activation::Relu),
            Dropout::new(0.5).into(),
            unit(Activation::Softmax),
        ];
        let expected = Spec::new([4, 5], expected);
        assert_eq!(found(layers), Ok(expected));
    }

    /// The form of Keras 2: a bare list of layers, the input shape in the first of them.
    #[test]
    fn the_form_of_keras_2_is_described() {
        let first = layer(
            "Dense",
            json!({"name": "dense", "units": 2, "activation": "tanh", "use_bias": false,
                   "batch_input_shape": [null, 7], "dtype": "float32"}),
        );
        let found = model(&json!({"class_name": "Sequential", "config": [first]}));
        let spec = found.network.unwrap().unwrap();
        assert_eq!((spec.input_shape, spec.layers.len()), (vec![7], 1));
        let (path, name) = ("layers/dense".to_owned(), "dense".to_owned());
        let dense = DenseLayer { path, top: name.clone(), name, bias: false };
        assert_eq!(found.dense, Some(vec![dense]));
    }

    #[test]
    fn a_layer_or_setting_that_changes_the_output_is_named() {
        let linear = || dense(json!("linear"));
        for (layers, message) in [
            (json!([input(), layer("Conv2D", json!({}))]), "Conv2D"),
            (json!([layer("Rescaling", json!({"name": "r", "scale": 0.5}))]), "Rescaling (\"r\")"),
            (
                json!([linear(), layer("ReLU", json!({"max_value": 6.0}))]),
                "ReLU with max_value = 6.0",
            ),
            (
                json!([linear(), layer("ReLU", json!({"negative_slope": 0.1}))]),
                "negative_slope = 0.1",
            ),
            (json!([linear(), layer("LeakyReLU", json!({}))]), "LeakyReLU"),
            (json!([linear(), layer("Softmax", json!({"axis": 1}))]), "Softmax with axis = 1"),
            (json!([layer("ReLU", json!({}))]), "ReLU that follows no Dense"),
            (json!([dense(json!("celu"))]), "activation \"celu\""),
            (json!([dense(json!("hard_sigmoid"))]), "activation \"hard_sigmoid\""),
            (json!([dense(json!({"class_name": "LeakyReLU", "config": {}}))]), "LeakyReLU"),
            (
                json!([dense(
                    json!({"class_name": "function", "module": "builtins", "config": "relu"})
                )]),
                "function of builtins",
            ),
            (
                json!([layer("Dense", json!({"units": 3, "lora_rank": 4}))]),
                "Dense with lora_rank = 4",
            ),
            (
                json!([layer("Dense", json!({"units": 3, "dtype": "int8_from_float32"}))]),
                "dtype = int8",
            ),
            (json!([layer("Flatten", json!({"data_format": "channels_first"}))]), "channels_first"),
            (json!([layer("Reshape", json!({"target_shape": [2, 8]}))]), "Reshape to [2,8]"),
        ] {
            let error = found(layers).unwrap_err();
            assert!(error.contains(message), "{error:?}: {message:?}");
        }
    }
}
