//! Where the tensors of a Keras file are: by the paths of Keras 3, or by the `layer_names` and `weight_names` of older
//! `.h5` files.

use std::collections::{BTreeMap, HashMap};

use super::config::DenseLayer;
use crate::import::Imported;
use crate::import::file_contents::Placed;

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
    pub(super) fn list(&self, group: &str, name: &str) -> Option<Vec<String>> {
        let attributes = self.groups.get(group)?;
        if let Some(list) = attributes.get(name) {
            return Some(list.clone());
        }
        let chunks = (0..).map_while(|i| attributes.get(&format!("{name}{i}")));
        let list: Vec<String> = chunks.flatten().cloned().collect();
        (!list.is_empty()).then_some(list)
    }

    pub(super) fn text(&self, group: &str, name: &str) -> Option<&str> {
        self.groups.get(group)?.get(name)?.first().map(String::as_str)
    }

    /// Returns the names of the groups in a group.
    pub(super) fn children<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a str> {
        let inside = move |path: &'a String| match group {
            "" => Some(path.as_str()),
            group => path.strip_prefix(group)?.strip_prefix('/'),
        };
        let names = self.groups.keys().filter_map(inside);
        names.filter(|name| !name.is_empty() && !name.contains('/'))
    }
}

/// The tensors of a file by name.
pub(super) struct Places<'a> {
    layout: &'a Layout,
    tensors: HashMap<&'a str, usize>,
    /// The group that holds the layers in a `.h5` from before Keras 3.
    legacy: Option<&'static str>,
}

/// A layer's missing tensors, for an error.
pub(super) type Lost = Vec<String>;

impl<'a> Places<'a> {
    pub(super) fn new(imported: &'a Imported, layout: &'a Layout) -> Self {
        let tensors = imported.tensors.iter().enumerate();
        let tensors = tensors.map(|(place, tensor)| (tensor.name.as_str(), place)).collect();
        Self { layout, tensors, legacy: legacy_root(layout) }
    }

    /// Returns the indices of all layers' tensors, or the missing ones.
    pub(super) fn of(&self, layers: &[DenseLayer]) -> (Option<Vec<Placed>>, Option<Lost>) {
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
pub(super) fn plain(name: &str) -> &str {
    name.strip_suffix(":0").unwrap_or(name)
}

pub(super) fn legacy_root(layout: &Layout) -> Option<&'static str> {
    let listed = |group: &str| layout.list(group, "layer_names").is_some();
    match (listed("model_weights"), listed("")) {
        (true, _) => Some("model_weights/"),
        (false, true) => Some(""),
        (false, false) => None,
    }
}
