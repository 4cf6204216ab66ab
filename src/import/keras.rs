//! `.keras` files: an archive of the network's description and its weights.

use serde_json::Value;

use super::Imported;
use super::allowance::Allowance;
use super::archive::Archive;
use super::card::Card;
use super::error::Problem;
use super::format::Format;
use super::hdf5;
use crate::layers::{Dense, Dropout, Flatten, Layer};
use crate::model::{Activation, Spec};

/// The record of the weights.
pub(super) const WEIGHTS: &str = "model.weights.h5";
/// The record of the description.
const CONFIG: &str = "config.json";

/// Reads a file. A description of another network than ours is no error yet: a description may be given.
pub(super) fn read(bytes: &[u8]) -> Result<Imported, Problem> {
    let mut archive = Archive::open(bytes)?;
    let mut allowance = Allowance::new(bytes.len(), Allowance::PACKED);
    let mut card = Card::default();
    let mut stranger = None;
    if archive.has(CONFIG) {
        let config = archive.read(CONFIG, &mut allowance)?;
        let config: Value = serde_json::from_slice(&config).map_err(|error| Problem::Damaged {
            format: ".keras",
            message: format!("{CONFIG}: {error}"),
        })?;
        match network(&config) {
            Ok(network) => card.network = Some(network),
            Err(layer) => stranger = Some(layer),
        }
    }
    let weights = archive.read(WEIGHTS, &mut allowance)?;
    let imported = hdf5::read(weights)?;
    Ok(Imported { format: Format::Keras, card: Some(card), stranger, ..imported })
}

/// The network of a Sequential's config; what is in the way, if it is none of ours.
fn network(config: &Value) -> Result<Spec, String> {
    let text = |value: &Value| value.as_str().unwrap_or("?").chars().take(60).collect::<String>();
    if config["class_name"] != "Sequential" {
        return Err(text(&config["class_name"]));
    }
    let config = &config["config"];
    let mut input_shape = shape(&config["build_input_shape"]);
    let mut layers: Vec<Layer> = Vec::new();
    for layer in config["layers"].as_array().into_iter().flatten() {
        let own = &layer["config"];
        match &layer["class_name"] {
            Value::String(name) if name == "InputLayer" => {
                let found = shape(&own["batch_shape"]).or_else(|| shape(&own["batch_input_shape"]));
                input_shape = found.or(input_shape);
            }
            Value::String(name) if name == "Flatten" => layers.push(Flatten.into()),
            Value::String(name) if name == "Dense" => {
                let units = own["units"].as_u64().and_then(|units| units.try_into().ok());
                let units = units.ok_or("Dense without units")?;
                layers.push(Dense::new(units).activation(activation(&own["activation"])?).into());
            }
            Value::String(name) if name == "Dropout" => {
                let rate = own["rate"].as_f64().ok_or("Dropout without a rate")?;
                layers.push(Dropout::new(rate).into());
            }
            Value::String(name) if name == "Activation" => match layers.last_mut() {
                Some(Layer::Dense(dense)) if dense.activation == Activation::Linear => {
                    dense.activation = activation(&own["activation"])?;
                }
                _ => return Err("Activation that follows no Dense".to_owned()),
            },
            other => return Err(text(other)),
        }
    }
    let input_shape = input_shape.ok_or("no input shape")?;
    Ok(Spec { input_shape, layers })
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

fn activation(value: &Value) -> Result<Activation, String> {
    let name = match value {
        Value::Null => "linear",
        Value::String(name) => name,
        _ => return Err("an activation of its own".to_owned()),
    };
    // Keras has two names for it.
    let name = if name == "swish" { "silu" } else { name };
    let known = Activation::ALL.into_iter().find(|activation| activation.name() == name);
    known.ok_or_else(|| format!("activation {:?}", name.chars().take(60).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sequential(layers: Value) -> Value {
        json!({"class_name": "Sequential", "config": {"layers": layers}})
    }

    #[test]
    fn a_sequential_is_described_and_others_are_named() {
        let input = json!({"class_name": "InputLayer", "config": {"batch_shape": [null, 4, 5, 1]}});
        let dense = |activation| {
            let config = json!({"units": 3, "activation": activation});
            json!({"class_name": "Dense", "config": config})
        };
        let flatten = json!({"class_name": "Flatten", "config": {}});
        let softmax = json!({"class_name": "Activation", "config": {"activation": "softmax"}});
        let found =
            network(&sequential(json!([input, flatten, dense("swish"), dense("linear"), softmax])));
        let expected = Spec {
            input_shape: vec![4, 5],
            layers: vec![
                Flatten.into(),
                Dense::new(3).activation(Activation::Silu).into(),
                Dense::new(3).activation(Activation::Softmax).into(),
            ],
        };
        assert_eq!(found, Ok(expected));
        let conv = json!({"class_name": "Conv2D", "config": {}});
        assert_eq!(network(&sequential(json!([input, conv]))), Err("Conv2D".to_owned()));
        assert_eq!(network(&sequential(json!([dense("relu")]))), Err("no input shape".to_owned()));
        assert!(
            network(&sequential(json!([input, dense("mish")]))).is_err_and(|e| e.contains("mish"))
        );
        assert_eq!(network(&json!({"class_name": "Functional"})), Err("Functional".to_owned()));
        assert!(network(&json!([])).is_err());
    }
}
