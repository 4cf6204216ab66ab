//! Assigning the tensors of a Keras file to layers: by the paths of Keras 3, or by the
//! `layer_names` and `weight_names` of older `.h5` files. The order of the names is never used.

use serde_json::Value;

use super::config::{DenseLayer, Model, model};
use super::description::parsed;
use super::pictures;
use super::places::{Layout, Places, legacy_root, plain};
use crate::import::error::Problem;
use crate::import::tensor_roles::is_other;
use crate::import::{Card, Imported};

/// Adds to a file's tensors the known facts about their layers: from the description, if there is one, else from
/// the names of groups and attributes. Tensors that the layers lack are recorded, too.
pub(in crate::import) fn describe(
    mut imported: Imported,
    layout: &Layout,
    config: Option<Value>,
) -> Result<Imported, Problem> {
    // Files written by seqfit have a card.
    if imported.card.as_ref().is_some_and(|card| card.network.is_some()) {
        return Ok(imported);
    }
    let config = match (config, layout.text("", "model_config")) {
        (None, Some(text)) => Some(parsed(text.as_bytes(), "HDF5", "model_config")?),
        (config, _) => config,
    };
    let model = match &config {
        Some(config) => model(config),
        None => by_groups(layout),
    };
    let places = Places::new(&imported, layout);
    if let Some(found) =
        config.as_ref().and_then(|it| pictures::model(it, &places, &imported.tensors))
    {
        match found {
            Ok(described) => {
                let network = Some(described.spec.clone());
                imported.card = Some(Card { network, ..Card::default() });
                imported.described = Some(Ok(described));
            }
            Err(layer) => imported.unsupported_layer = Some(layer),
        }
        return Ok(imported);
    }
    let (placed, lost) = match &model.dense {
        Some(layers) => places.of(layers),
        None => (None, None),
    };
    imported.placed = placed;
    // An unsupported layer explains more than its missing tensors. The file can be inspected in both cases.
    if !matches!(model.network, Some(Err(_))) {
        imported.missing_tensors = lost.unwrap_or_default();
    }
    match model.network {
        Some(Ok(network)) => {
            imported.card = Some(Card { network: Some(network), ..Card::default() });
        }
        Some(Err(layer)) => imported.unsupported_layer = Some(layer),
        None => {}
    }
    Ok(imported)
}

/// Reads the order of the layers, or the unsupported layer, from groups and attributes, where the file has no
/// config.
fn by_groups(layout: &Layout) -> Model {
    if let Some(root) = legacy_root(layout) {
        let names = layout.list(root.trim_end_matches('/'), "layer_names").unwrap_or_default();
        return by_layer_names(layout, root, &names);
    }
    let container = ["layers", "_layer_checkpoint_dependencies"];
    let container = container.into_iter().find(|name| layout.groups.contains_key(*name));
    let Some(container) = container else {
        // A custom model class: its layers' groups are named after its attributes.
        let other = without_weights(layout).find(|name| !HARMLESS.contains(&numbered(name).0));
        let named = |name: &str| format!("{:?}", name.chars().take(60).collect::<String>());
        return Model { dense: None, network: other.map(|name| Err(named(name))) };
    };
    let known = |name: &&str| [container, "vars", "optimizer"].contains(name);
    if let Some(other) = layout.children("").find(|name| !known(name)) {
        let what = format!("a custom model class, with {other:?}");
        return Model { dense: None, network: Some(Err(what)) };
    }
    by_classes(layout, container)
}

/// Returns the names of the layers that have a group without weights, as Keras 3.6 and later write them.
fn without_weights(layout: &Layout) -> impl Iterator<Item = &str> {
    layout.groups.keys().filter_map(|path| {
        let inside = format!("{}/", path.strip_suffix("/vars")?);
        let mut members = layout.groups.range(inside.clone()..).map(|(path, _)| path);
        let alone = members.next() == Some(path)
            && !members.next().is_some_and(|next| next.starts_with(&inside));
        alone.then(|| layout.text(path, "name")).flatten()
    })
}

/// Layers that do not change the output, by their names in the groups of Keras 3.
const HARMLESS: [&str; 7] = [
    "dropout",
    "flatten",
    "identity",
    "activity_regularization",
    "gaussian_noise",
    "gaussian_dropout",
    "alpha_dropout",
];

/// A model of which these files keep the layers, but not their connections.
const GRAPH: &str = "a Functional model, whose graph is only in what model.save writes";

/// Keras 3: every layer has a group, named after its class and numbered in the order of the model.
fn by_classes(layout: &Layout, container: &str) -> Model {
    let (mut dense, mut other) = (Vec::new(), None);
    for group in layout.children(container) {
        let (class, number) = numbered(group);
        let path = format!("{container}/{group}");
        let name = layout.text(&format!("{path}/vars"), "name").unwrap_or("").to_owned();
        match class {
            "dense" => {
                let bias = layout.groups.contains_key(&format!("{path}/vars/1"));
                dense.push((number, DenseLayer { path, top: name.clone(), name, bias }));
            }
            class if HARMLESS.contains(&class) => {}
            "input_layer" => other = other.or(Some(format!("{group} of {GRAPH}"))),
            _ => other = other.or(Some(group.chars().take(60).collect())),
        }
    }
    dense.sort_by_key(|(number, _)| *number);
    let dense = dense.into_iter().map(|(_, layer)| layer).collect();
    Model { dense: Some(dense), network: other.map(Err) }
}

/// "dense_10" → ("dense", 10)
fn numbered(name: &str) -> (&str, u64) {
    let split = name.rsplit_once('_');
    let split = split.and_then(|(class, number)| Some((class, number.parse().ok()?)));
    split.unwrap_or((name, 0))
}

/// Before Keras 3: the layers in order, by names that users may choose. A layer without weights is known
/// only by its name.
fn by_layer_names(layout: &Layout, root: &str, names: &[String]) -> Model {
    let (mut dense, mut other) = (Vec::new(), None);
    for name in names {
        let weights = layout.list(&format!("{root}{name}"), "weight_names").unwrap_or_default();
        let leaves = weights.iter().map(|weight| plain(weight).rsplit('/').next().unwrap_or(""));
        match &leaves.collect::<Vec<_>>()[..] {
            ["kernel", further @ ..] if matches!(further, [] | ["bias"]) && !is_other(name) => {
                let (path, bias) = (format!("{root}{name}"), !further.is_empty());
                dense.push(DenseLayer { path, top: name.clone(), name: name.clone(), bias });
            }
            [] if HARMLESS.contains(&numbered(name).0) => {}
            [] if name.starts_with("input") => {
                let name: String = name.chars().take(60).collect();
                other = other.or(Some(format!("{name:?} of {GRAPH}")));
            }
            _ => other = other.or(Some(format!("{:?}", name.chars().take(60).collect::<String>()))),
        }
    }
    Model { dense: Some(dense), network: other.map(Err) }
}
