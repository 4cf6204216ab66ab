//! Assigning the tensors of a Keras file to layers: by the paths of Keras 3, or by the
//! `layer_names` and `weight_names` of older `.h5` files. The order of the names is never used.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::config::{DenseLayer, Model, model};
use super::description::parsed;
use super::pictures;
use crate::import::error::Problem;
use crate::import::file_contents::Placed;
use crate::import::tensor_roles::is_other;
use crate::import::{Card, Imported};

/// The texts of a group's attributes, by name.
pub(in crate::import) type Attributes = BTreeMap<String, Vec<String>>;

/// The groups and attributes of an HDF5 file.
#[derive(Debug, Default)]
pub(in crate::import) struct Layout {
    /// The groups, by path; the root's path is empty.
    pub groups: BTreeMap<String, Attributes>,
}

impl Layout {
    /// Returns a list of texts. One that is too long for an attribute is split: "layer_names0",
    /// "layer_names1".
    fn list(&self, group: &str, name: &str) -> Option<Vec<String>> {
        let attributes = self.groups.get(group)?;
        if let Some(list) = attributes.get(name) {
            return Some(list.clone());
        }
        let chunks = (0..).map_while(|i| attributes.get(&format!("{name}{i}")));
        let list: Vec<String> = chunks.flatten().cloned().collect();
        (!list.is_empty()).then_some(list)
    }

    fn text(&self, group: &str, name: &str) -> Option<&str> {
        self.groups.get(group)?.get(name)?.first().map(String::as_str)
    }

    /// Returns the names of the groups in a group.
    fn children<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a str> {
        let inside = move |path: &'a String| match group {
            "" => Some(path.as_str()),
            group => path.strip_prefix(group)?.strip_prefix('/'),
        };
        let names = self.groups.keys().filter_map(inside);
        names.filter(|name| !name.is_empty() && !name.contains('/'))
    }
}

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

/// The tensors of a file by name.
pub(super) struct Places<'a> {
    layout: &'a Layout,
    tensors: HashMap<&'a str, usize>,
    /// The group that holds the layers in a `.h5` from before Keras 3.
    legacy: Option<&'static str>,
}

/// A layer's missing tensors, for an error.
type Lost = Vec<String>;

impl<'a> Places<'a> {
    fn new(imported: &'a Imported, layout: &'a Layout) -> Self {
        let tensors = imported.tensors.iter().enumerate();
        let tensors = tensors.map(|(place, tensor)| (tensor.name.as_str(), place)).collect();
        Self { layout, tensors, legacy: legacy_root(layout) }
    }

    /// Returns the indices of all layers' tensors, or the missing ones.
    fn of(&self, layers: &[DenseLayer]) -> (Option<Vec<Placed>>, Option<Lost>) {
        let (mut placed, mut lost) = (Vec::new(), Lost::new());
        for layer in layers {
            let find = |own| self.variable([&layer.path, &layer.top, &layer.name], own);
            let (found, found_bias) = (find((0, "kernel")), find((1, "bias")));
            match found {
                Some(weight) if found_bias.is_some() || !layer.bias => {
                    placed.push(Placed { weight, bias: found_bias.filter(|_| layer.bias) });
                }
                found => lost.push(format!(
                    "expected the {} of Dense layer {:?} ({}), found nothing",
                    if found.is_none() { "kernel" } else { "bias" },
                    layer.name.chars().take(60).collect::<String>(),
                    layer.path.chars().take(80).collect::<String>(),
                )),
            }
        }
        match lost.is_empty() {
            true => (Some(placed), None),
            false => (None, Some(lost)),
        }
    }

    /// Returns the index of a variable of the layer with this path, outermost layer and name: by its number in Keras 3,
    /// and by its name before.
    pub(super) fn variable(
        &self,
        [path, top, name]: [&str; 3],
        (number, leaf): (usize, &str),
    ) -> Option<usize> {
        let found = match self.legacy {
            Some(root) => self.legacy_name(root, [top, name], leaf),
            None => self.path([path, name], number),
        };
        self.tensors.get(found?.as_str()).copied()
    }

    /// Returns "layers/dense_1/vars/0". The name that Keras 3.6 and later store next to it must be the layer's.
    fn path(&self, [path, name]: [&str; 2], number: usize) -> Option<String> {
        let group = format!("{path}/vars");
        let named = self.layout.text(&group, "name");
        let is_own = named.is_none_or(|named| name.is_empty() || named == name);
        is_own.then(|| format!("{group}/{number}"))
    }

    /// Returns the name that the group of the outermost layer lists for the layer in it.
    fn legacy_name(&self, root: &str, [top, name]: [&str; 2], leaf: &str) -> Option<String> {
        let group = format!("{root}{top}");
        let names = self.layout.list(&group, "weight_names").unwrap_or_default();
        let is_own = |own: &&String| {
            let mut parts = plain(own).rsplit('/');
            let fits = parts.next() == Some(leaf);
            fits && (top == name || parts.next() == Some(name))
        };
        let mut found = names.iter().filter(is_own);
        match (found.next(), found.next()) {
            (Some(name), None) => Some(format!("{group}/{name}")),
            _ => None,
        }
    }
}

/// Returns a variable's name without the number of its output.
fn plain(name: &str) -> &str {
    name.strip_suffix(":0").unwrap_or(name)
}

fn legacy_root(layout: &Layout) -> Option<&'static str> {
    let listed = |group: &str| layout.list(group, "layer_names").is_some();
    match (listed("model_weights"), listed("")) {
        (true, _) => Some("model_weights/"),
        (false, true) => Some(""),
        (false, false) => None,
    }
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
