//! The tensors of a state_dict in the order of a network's variables, under any names of modules.

use std::collections::HashMap;

use super::detect_format::Format;
use super::file_contents::{Imported, ImportedTensor};
use super::layer_order::natural_key;
use crate::model::NamedVariable;

/// A module with its variables: the last parts of their names, and their shapes.
type Group<'a> = (&'a str, Vec<(&'a str, &'a [usize])>);

/// Returns the names of the tensors for these variables, if each module of the file, in its order, has the variables of a
/// layer under PyTorch's names. safetensors sorts names as text: modules within others are in the order of their
/// numbers, and of the outer ones the only order that fits is taken.
pub(super) fn names(imported: &Imported, variables: &[NamedVariable]) -> Option<Vec<String>> {
    let own = variables.iter().map(|own| (own.name.as_str(), &own.variable.shape[..]));
    let wanted = groups(own);
    let tensors = imported.tensors.iter().filter(|tensor| !counts_batches(tensor));
    let mut found = groups(tensors.map(|tensor| (tensor.name.as_str(), &tensor.shape[..])));
    if wanted.len() != found.len() {
        return None;
    }
    if imported.format == Format::Safetensors {
        found.sort_by_cached_key(|(owner, _)| natural_key(owner));
        found = only_order(&wanted, &found)?;
    }
    let mut names = Vec::new();
    for (one, other) in wanted.iter().zip(&found) {
        if !has_names(one, other) {
            return None;
        }
        names.extend(one.1.iter().map(|(leaf, _)| match other.0 {
            "" => (*leaf).to_owned(),
            owner => format!("{owner}.{leaf}"),
        }));
    }
    Some(names)
}

/// Returns whether two modules have variables of the same names.
fn has_names(one: &Group<'_>, other: &Group<'_>) -> bool {
    let has = |leaf: &str| other.1.iter().any(|(own, _)| *own == leaf);
    one.1.len() == other.1.len() && one.1.iter().all(|(leaf, _)| has(leaf))
}

/// Returns the only order of the outer modules in which all variables have the wanted shapes.
fn only_order<'a>(wanted: &[Group<'_>], found: &[Group<'a>]) -> Option<Vec<Group<'a>>> {
    let outer = |group: &Group<'a>| group.0.split('.').next().unwrap_or("");
    let blocks: Vec<&[Group<'a>]> = found.chunk_by(|a, b| outer(a) == outer(b)).collect();
    let mut search = Search { wanted, blocks: &blocks, orders: Vec::new(), tries: 0 };
    search.extend(&mut Vec::new());
    match &search.orders[..] {
        [order] if search.tries < MOST_TRIES => {
            Some(order.iter().flat_map(|&i| blocks[i].iter().cloned()).collect())
        }
        _ => None,
    }
}

/// The orders of blocks of modules that have the wanted shapes; the search ends with the second, or after many tries.
struct Search<'s, 'a> {
    wanted: &'s [Group<'s>],
    blocks: &'s [&'s [Group<'a>]],
    orders: Vec<Vec<usize>>,
    tries: usize,
}

impl Search<'_, '_> {
    fn extend(&mut self, begun: &mut Vec<usize>) {
        if begun.len() == self.blocks.len() {
            self.orders.push(begun.clone());
            return;
        }
        let place: usize = begun.iter().map(|&i| self.blocks[i].len()).sum();
        for i in 0..self.blocks.len() {
            self.tries += 1;
            if self.orders.len() > 1 || self.tries >= MOST_TRIES {
                return;
            }
            let mut pairs = self.wanted[place..].iter().zip(self.blocks[i]);
            if !begun.contains(&i) && pairs.all(|(one, other)| is_like(one, other)) {
                begun.push(i);
                self.extend(begun);
                begun.pop();
            }
        }
    }
}

/// Returns whether two modules have variables of the same names and shapes.
fn is_like(one: &Group<'_>, other: &Group<'_>) -> bool {
    has_names(one, other) && one.1.iter().all(|variable| other.1.contains(variable))
}

/// Most blocks that are tried.
const MOST_TRIES: usize = 1 << 12;

/// Returns whether a tensor is the count of batches of PyTorch's normalization, an integer which we do not keep.
pub(super) fn counts_batches(tensor: &ImportedTensor) -> bool {
    tensor.shape.is_empty() && tensor.name.ends_with(".num_batches_tracked")
}

/// Returns each module with its variables, in the order of the modules.
fn groups<'a>(variables: impl Iterator<Item = (&'a str, &'a [usize])>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places = HashMap::new();
    for (name, shape) in variables {
        let (owner, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        let place = *places.entry(owner).or_insert(groups.len());
        if place == groups.len() {
            groups.push((owner, Vec::new()));
        }
        groups[place].1.push((leaf, shape));
    }
    groups
}
