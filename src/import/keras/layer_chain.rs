//! The layers of a Keras model in sequence: those of a Sequential, including nested Sequentials, and
//! those of a Functional model whose graph is a plain chain.

use std::collections::HashMap;

use serde_json::Value;

use super::description::shown;

/// Maximum nesting of models, and maximum number of layers in total.
const DEEPEST: usize = 8;
const MOST_LAYERS: usize = 1 << 12;

/// A layer of a model.
#[derive(Clone, Debug)]
pub(super) struct Step<'a> {
    /// Its entry in the list of layers.
    pub entry: &'a Value,
    /// Where Keras 3 keeps its variables: "layers/dense_1".
    pub path: String,
    /// The name of the layer of the outermost model that contains it.
    pub top: String,
    /// Its own name.
    pub name: String,
}

impl<'a> Step<'a> {
    pub(super) fn class(&self) -> &'a str {
        self.entry["class_name"].as_str().unwrap_or("?")
    }

    pub(super) fn config(&self) -> &'a Value {
        &self.entry["config"]
    }
}

/// Returns the layers of a model in the order in which they are applied.
///
/// # Errors
/// The obstacle, in words: a model of another class, or a graph that is not a chain.
pub(super) fn steps(model: &Value) -> Result<Vec<Step<'_>>, String> {
    let mut steps = Vec::new();
    add(model, "", None, 0, &mut steps)?;
    Ok(steps)
}

fn add<'a>(
    model: &'a Value,
    path: &str,
    top: Option<&str>,
    depth: usize,
    steps: &mut Vec<Step<'a>>,
) -> Result<(), String> {
    let class = &model["class_name"];
    check_own(model)?;
    // Before Keras 2.2.3 a Sequential's config was the bare list.
    let config = &model["config"];
    let list = config.as_array().or_else(|| config["layers"].as_array());
    let list = list.ok_or_else(|| format!("{}, which does not list its layers", shown(class)))?;
    let order = match class.as_str() {
        Some("Sequential") => (0..list.len()).collect(),
        Some("Functional" | "Model") => chained(config, list)?,
        _ => return Err(shown(class)),
    };
    let sequential = class == "Sequential";
    let paths = paths(list, path, sequential);
    for place in order {
        let entry = &list[place];
        let name = entry["config"]["name"].as_str().or(entry["name"].as_str()).unwrap_or("");
        let top = top.unwrap_or(name);
        if is_model(entry) {
            if depth == DEEPEST {
                return Err("models nested too deep".to_owned());
            }
            add(entry, &format!("{}/", paths[place]), Some(top), depth + 1, steps)?;
        } else {
            let (path, top, name) = (paths[place].clone(), top.to_owned(), name.to_owned());
            steps.push(Step { entry, path, top, name });
        }
        if steps.len() > MOST_LAYERS {
            return Err("more layers than seqfit reads".to_owned());
        }
    }
    Ok(())
}

fn is_model(entry: &Value) -> bool {
    ["Sequential", "Functional", "Model"].iter().any(|class| entry["class_name"] == *class)
}

/// Checks that a class is Keras's own: another may have the same name.
pub(super) fn check_own(entry: &Value) -> Result<(), String> {
    let module = entry["module"].as_str().unwrap_or("keras");
    let own = ["keras", "tf_keras", "tensorflow"].contains(&module.split('.').next().unwrap_or(""));
    let registered = entry["registered_name"].as_str().unwrap_or("");
    let package = registered.split_once('>').map_or("keras", |(package, _)| package);
    match own && package.eq_ignore_ascii_case("keras") {
        true => Ok(()),
        false if registered.is_empty() => {
            Err(format!("{} of {}", shown(&entry["class_name"]), shown(&entry["module"])))
        }
        false => Err(registered.chars().take(60).collect()),
    }
}

/// Returns where Keras 3 keeps each layer's variables: under its class in snake case, numbered from the second on.
fn paths(list: &[Value], prefix: &str, sequential: bool) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let path = |entry: &Value| {
        let class = entry["class_name"].as_str().unwrap_or("?");
        // A Sequential does not count its InputLayer among its layers.
        if sequential && class == "InputLayer" {
            return String::new();
        }
        let name = snake_case(class);
        let number = seen.entry(name.clone()).and_modify(|n| *n += 1).or_insert(0);
        match number {
            0 => format!("{prefix}layers/{name}"),
            n => format!("{prefix}layers/{name}_{n}"),
        }
    };
    list.iter().map(path).collect()
}

/// "BatchNormalization" → "batch_normalization", like `keras.src.utils.naming.to_snake_case`.
fn snake_case(class: &str) -> String {
    let characters: Vec<char> =
        class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut text = String::new();
    for (i, &c) in characters.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| characters[i]);
        let next = characters.get(i + 1);
        let begins = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || next.is_some_and(|next| next.is_lowercase())
            });
        if begins {
            text.push('_');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// Returns the indices of a Functional model's layers from its input to its output, if each takes the output of
/// the one before, once, and nothing else.
fn chained(config: &Value, list: &[Value]) -> Result<Vec<usize>, String> {
    let other = |what: &str| format!("Functional, {what}");
    let names: Vec<&str> = list.iter().map(|entry| entry["name"].as_str().unwrap_or("")).collect();
    let place = |name: &str| names.iter().position(|other| *other == name);
    let mut next = vec![None; list.len()];
    let mut first = None;
    for (i, entry) in list.iter().enumerate() {
        let nodes = entry["inbound_nodes"].as_array().map_or(&[][..], Vec::as_slice);
        match nodes {
            [] if first.is_none() => first = Some(i),
            [] => return Err(other("which has several inputs")),
            [node] => {
                let inputs = inputs(node).ok_or_else(|| {
                    other(&format!("whose layer {} has further arguments", shown(&entry["name"])))
                })?;
                let [input] = inputs[..] else {
                    return Err(other(&format!(
                        "whose layer {} has {} inputs",
                        shown(&entry["name"]),
                        inputs.len()
                    )));
                };
                let from = place(input).ok_or_else(|| other("whose layers are not listed"))?;
                if next[from].replace(i).is_some() {
                    return Err(other(&format!("whose layer {} is used twice", names[from])));
                }
            }
            _ => {
                return Err(other(&format!("whose layer {} is used twice", shown(&entry["name"]))));
            }
        }
    }
    let mut order: Vec<usize> = first.into_iter().collect();
    while let Some(after) = order.last().and_then(|&last| next[last]) {
        if order.len() > list.len() {
            break;
        }
        order.push(after);
    }
    let last = order.last().map_or("", |&last| names[last]);
    let ends =
        ends(&config["output_layers"], last) && ends(&config["input_layers"], names[order[0]]);
    match order.len() == list.len() && ends {
        true => Ok(order),
        false => Err(other("whose graph is not a chain")),
    }
}

/// Returns whether this layer is the only input or output of a model: `["dense", 0, 0]`, or a list of one such.
fn ends(value: &Value, name: &str) -> bool {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    match list {
        [own, node, tensor] if own.is_string() => own == name && *node == 0 && *tensor == 0,
        [Value::Array(_)] => ends(&list[0], name),
        _ => false,
    }
}

/// Returns the layers whose outputs a node takes; none for a node with arguments that may change the output.
fn inputs(node: &Value) -> Option<Vec<&str>> {
    if let Value::Array(inputs) = node {
        // Keras 2: [["dense", 0, 0, {}]]
        return inputs.iter().map(keras_2_input).collect();
    }
    let harmless = |(key, value): (&String, &Value)| {
        value.is_null() || *value == Value::Bool(false) && key == "training"
    };
    if !node["kwargs"].as_object().is_none_or(|kwargs| kwargs.iter().all(harmless)) {
        return None;
    }
    node["args"].as_array()?.iter().map(keras_3_input).collect()
}

fn keras_2_input(input: &Value) -> Option<&str> {
    let [name, node, tensor, kwargs @ ..] = input.as_array()?.as_slice() else { return None };
    let plain =
        kwargs.iter().all(|kwargs| kwargs.as_object().is_some_and(|kwargs| kwargs.is_empty()));
    name.as_str().filter(|_| plain && *node == 0 && *tensor == 0)
}

fn keras_3_input(argument: &Value) -> Option<&str> {
    let [name, node, tensor] = argument["config"]["keras_history"].as_array()?.as_slice() else {
        return None;
    };
    name.as_str().filter(|_| *node == 0 && *tensor == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn classes_are_numbered_in_snake_case() {
        for (class, expected) in [
            ("Dense", "dense"),
            ("BatchNormalization", "batch_normalization"),
            ("PReLU", "p_re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("InputLayer", "input_layer"),
            ("Conv2D", "conv2d"),
            ("RMSNormalization", "rms_normalization"),
        ] {
            assert_eq!(snake_case(class), expected);
        }
        let list = ["InputLayer", "Dense", "Dropout", "Dense"].map(|c| json!({"class_name": c}));
        assert_eq!(
            paths(&list, "", true),
            ["", "layers/dense", "layers/dropout", "layers/dense_1"]
        );
    }

    fn layer(name: &str, nodes: Value) -> Value {
        json!({"class_name": "Dense", "name": name, "config": {"name": name}, "inbound_nodes": nodes})
    }

    fn names(model: &Value) -> Result<Vec<String>, String> {
        Ok(steps(model)?.into_iter().map(|step| step.name).collect())
    }

    #[test]
    fn a_functional_model_is_taken_where_it_is_a_chain() {
        let model = |layers: Value, output: &str| {
            let config = json!({"layers": layers, "input_layers": [["a", 0, 0]],
                                "output_layers": [[output, 0, 0]]});
            json!({"class_name": "Functional", "config": config})
        };
        let from = |name: &str| json!([[[name, 0, 0, {}]]]);
        let history = |name: &str| json!({"config": {"keras_history": [name, 0, 0]}});
        let new = json!([{"args": [history("c")], "kwargs": {"training": null}}]);
        // Not in the order in which they are applied.
        let (a, b, c) = (layer("a", json!([])), layer("b", new), layer("c", from("a")));
        assert_eq!(
            names(&model(json!([b, a, c]), "b")),
            Ok(vec!["a".into(), "c".into(), "b".into()])
        );
        for (layers, output, message) in [
            (
                json!([a, layer("b", json!([[["a", 0, 0, {}], ["a", 0, 0, {}]]]))]),
                "b",
                "b has 2 inputs",
            ),
            (json!([a, layer("b", from("a")), layer("c", from("a"))]), "b", "a is used twice"),
            (
                json!([a, layer("b", json!([[["a", 0, 0, {}]], [["b", 0, 0, {}]]]))]),
                "b",
                "b is used twice",
            ),
            (json!([a, layer("b", from("a")), layer("c", from("b"))]), "b", "not a chain"),
            (
                json!([a, layer("b", json!([[["a", 0, 0, {"scale": 2}]]]))]),
                "b",
                "further arguments",
            ),
            (json!([a, layer("b", json!([])), layer("c", from("b"))]), "c", "several inputs"),
        ] {
            let error = names(&model(layers, output)).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn models_of_another_class_are_named() {
        for (model, name) in [
            (json!({"class_name": "Net", "config": {"layers": []}}), "Net"),
            (
                json!({"class_name": "Sequential", "module": "mine", "config": []}),
                "Sequential of mine",
            ),
            (json!([]), "none, which does not list"),
        ] {
            let error = names(&model).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
        let custom = json!({"class_name": "Dense", "module": null, "registered_name": "My>Dense"});
        assert_eq!(check_own(&custom), Err("My>Dense".to_owned()));
    }
}
