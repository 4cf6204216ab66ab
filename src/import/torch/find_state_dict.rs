//! Which of a checkpoint's dictionaries is the network's state_dict.

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::error::Problem;
use super::pickle::{Id, Pickle, Value, damaged};
use super::state_dict_names::{DEEPEST, Named, entries, is_container, parts, tensors};
use super::tensor_view::View;
use super::training_state::is_aside;

/// The usual keys of the state_dict in a checkpoint.
const USUAL: [&str; 7] =
    ["state_dict", "model_state_dict", "model_state", "model", "module", "net", "weights"];

/// Maximum number of values that are searched for tensors, each counted once per place that refers to it.
const MOST_STEPS: usize = 1 << 22;

/// Returns the tensors of a state_dict: the pickle itself, or the one in it, under a usual key or as the only one.
/// What training keeps beside it is not read.
///
/// # Errors
/// Several state_dicts beside each other, or none.
pub(super) fn state_dict<'a>(pickle: &Pickle<'a>) -> Result<Named<'a>, Problem> {
    let (mut id, mut steps) = (pickle.root, 0);
    for _ in 0..DEEPEST {
        match inner(pickle, id, &mut steps)? {
            Some(inner) => id = inner,
            None => return tensors(pickle, id),
        }
    }
    Err(damaged("its dictionaries are nested too deep"))
}

/// Returns the dictionary that holds the network in this one; none if this one does.
fn inner(pickle: &Pickle<'_>, id: Id, steps: &mut usize) -> Result<Option<Id>, Problem> {
    let mut direct = Content::Nothing;
    // A name with a dot is that of a module's parameter: "fc1.weight".
    let (mut lone, mut own) = (false, false);
    let (mut networks, mut aside) = (Parts::default(), Parts::default());
    for (key, value) in entries(pickle, id) {
        if let Some(found) = tensor(pickle, value) {
            direct = direct.max(found);
            lone |= found == Content::Tensors;
            own |= found == Content::Tensors && key.contains('.');
        } else if matches!(pickle.get(value), Value::Dict(_)) {
            let kind = if is_aside(pickle, &key, value) { &mut aside } else { &mut networks };
            kind.add(key, value, content(pickle, value, steps)?);
        }
    }
    let is_dict = matches!(pickle.get(id), Value::Dict(_));
    let networks = networks.chosen();
    let usual = networks.iter().any(|(key, _)| USUAL.contains(key));
    match &networks[..] {
        [(_, only)] if is_dict && !own && (usual || !lone) => Ok(Some(*only)),
        [_, _, ..] if is_dict && !own && (usual || !lone) => Err(several(&networks)),
        _ if direct > Content::Nothing => Ok(None),
        _ if !is_dict => Err(Problem::NoStateDict("the file holds something else".to_owned())),
        _ => match &aside.chosen()[..] {
            [(_, only)] => Ok(Some(*only)),
            [] => {
                let keys: Vec<_> = entries(pickle, id).map(|(key, _)| key).take(20).collect();
                Err(Problem::NoStateDict(format!("the file holds no tensors under {keys:?}")))
            }
            aside => Err(several(aside)),
        },
    }
}

fn several(parts: &[(&str, Id)]) -> Problem {
    let keys: Vec<_> = parts.iter().map(|(key, _)| key).take(20).collect();
    Problem::NoStateDict(format!("the file holds several under {keys:?}"))
}

/// The kinds of tensors in a value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    Nothing,
    /// Tensors without a shape, such as a loss.
    Scalars,
    Tensors,
}

/// Returns the kind of tensor at this index, if it is one.
fn tensor(pickle: &Pickle<'_>, id: Id) -> Option<Content> {
    View::is_at(pickle, id).then(|| match View::at(pickle, id) {
        Ok(Some(view)) if view.is_scalar() => Content::Scalars,
        // An invalid one is an error when its dictionary is read.
        _ => Content::Tensors,
    })
}

/// Returns the kinds of tensors in a dictionary at any depth, up to the first one with a shape.
fn content(pickle: &Pickle<'_>, id: Id, steps: &mut usize) -> Result<Content, Problem> {
    let mut found = Content::Nothing;
    let (mut open, mut seen) = (vec![id], HashSet::from([id]));
    while let Some(id) = open.pop() {
        let (pairs, items) = parts(pickle, id);
        *steps += pairs.len() + items.len();
        if *steps > MOST_STEPS {
            return Err(damaged("its dictionaries and lists hold too much"));
        }
        for item in pairs.iter().map(|&(_, value)| value).chain(items.iter().copied()) {
            match tensor(pickle, item) {
                Some(Content::Tensors) => return Ok(Content::Tensors),
                Some(other) => found = found.max(other),
                None if is_container(pickle, item) && seen.insert(item) => open.push(item),
                None => {}
            }
        }
    }
    Ok(found)
}

/// Dictionaries that hold tensors, by their keys.
#[derive(Default)]
struct Parts<'a> {
    list: Vec<(Cow<'a, str>, Id, Content)>,
    seen: HashSet<Id>,
}

impl<'a> Parts<'a> {
    /// Adds a dictionary, unless it holds no tensors, or is the same object as another.
    fn add(&mut self, key: Cow<'a, str>, id: Id, content: Content) {
        if content > Content::Nothing && self.seen.insert(id) {
            self.list.push((key, id, content));
        }
    }

    /// Returns those with more than scalars; all, if there is no such one.
    fn chosen(&self) -> Vec<(&str, Id)> {
        let most = self.list.iter().map(|&(_, _, content)| content).max();
        let chosen = self.list.iter().filter(|&&(_, _, content)| Some(content) == most);
        chosen.map(|(key, id, _)| (&**key, *id)).collect()
    }
}
