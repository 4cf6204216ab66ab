//! The network's tensors in a pickle, and their names.

use std::borrow::Cow;
use std::collections::HashSet;

use super::super::error::Problem;
use super::pickle::{Id, Pickle, Value, damaged};
use super::tensor_view::View;
use super::training_state::is_aside;

/// Tensors by name.
pub(super) type Named<'a> = Vec<(String, View<'a>)>;

/// Maximum nesting of modules, dictionaries and lists.
pub(super) const DEEPEST: usize = 32;
/// Maximum number of attributes of modules in total, and of tensors.
const MOST: usize = 1 << 16;
/// The longest part of a nested tensor's name, in characters.
const LONGEST: usize = 80;

/// Returns the keys and values of a dictionary, or the indices and items of a list or a tuple.
pub(super) fn entries<'a>(pickle: &Pickle<'a>, id: Id) -> impl Iterator<Item = (Cow<'a, str>, Id)> {
    let name = |key: Id| match *pickle.get(key) {
        Value::Text(name) => Cow::Borrowed(name),
        Value::Int(number) => Cow::Owned(number.to_string()),
        _ => Cow::Borrowed("?"),
    };
    let (pairs, items) = parts(pickle, id);
    let items = items.iter().enumerate().map(|(i, &item)| (Cow::Owned(i.to_string()), item));
    pairs.iter().map(move |&(key, value)| (name(key), value)).chain(items)
}

/// Returns the pairs of a dictionary, and the items of a list or a tuple.
pub(super) fn parts<'p>(pickle: &'p Pickle<'_>, id: Id) -> (&'p [(Id, Id)], &'p [Id]) {
    match pickle.get(id) {
        Value::Dict(pairs) => (pairs, &[]),
        Value::List(items) | Value::Tuple(items) => (&[], items),
        _ => (&[], &[]),
    }
}

/// Returns whether a value can hold others.
pub(super) fn is_container(pickle: &Pickle<'_>, id: Id) -> bool {
    matches!(pickle.get(id), Value::Dict(_) | Value::List(_) | Value::Tuple(_))
}

/// Returns the tensors of a dictionary, a list or a tuple. Those nested deeper follow as "norm[weight]": no layer
/// has such a name, so that they are refused.
pub(super) fn tensors<'a>(pickle: &Pickle<'a>, id: Id) -> Result<Named<'a>, Problem> {
    let mut found = Vec::new();
    let mut open = Vec::new();
    for (name, value) in entries(pickle, id) {
        match View::at(pickle, value)? {
            Some(view) => found.push((name.into_owned(), view)),
            None if is_container(pickle, value) && !is_aside(pickle, &name, value) => {
                open.push((name.chars().take(LONGEST).collect::<String>(), value, 0));
            }
            None => {}
        }
        few(found.len())?;
    }
    unique(&found)?;
    let mut seen: HashSet<Id> = open.iter().map(|(_, id, _)| *id).collect();
    while let Some((path, id, depth)) = open.pop() {
        let prefix = if path.chars().count() > LONGEST { "\u{2026}" } else { &path };
        for (key, value) in entries(pickle, id) {
            let path = || format!("{prefix}[{}]", key.chars().take(LONGEST).collect::<String>());
            match View::at(pickle, value)? {
                Some(view) => found.push((path(), view)),
                None if is_container(pickle, value) && seen.insert(value) => {
                    if depth == DEEPEST {
                        return Err(damaged("its dictionaries and lists are nested too deep"));
                    }
                    open.push((path(), value, depth + 1));
                }
                None => {}
            }
            few(found.len())?;
        }
    }
    Ok(found)
}

fn few(tensors: usize) -> Result<(), Problem> {
    match tensors <= MOST {
        true => Ok(()),
        false => Err(damaged(format!("it has more than {MOST} tensors"))),
    }
}

fn unique(found: &Named<'_>) -> Result<(), Problem> {
    let mut names: Vec<_> = found.iter().map(|(name, _)| name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(damaged(format!("two tensors are called {:?}", pair[0]))),
    }
}

/// Returns the tensors of a TorchScript module, by the names in its `state_dict`.
pub(super) fn parameters<'a>(pickle: &Pickle<'a>) -> Result<Named<'a>, Problem> {
    let mut found = Vec::new();
    let mut attributes = 0;
    // Depth first, in the order of the attributes.
    let mut open = vec![(String::new(), pickle.root, 0)];
    while let Some((prefix, id, depth)) = open.pop() {
        if let Some(view) = View::at(pickle, id)? {
            found.push((prefix, view));
            continue;
        }
        let &Value::Call { state: Some(state), .. } = pickle.get(id) else { continue };
        let Value::Dict(pairs) = pickle.get(state) else { continue };
        attributes += pairs.len();
        if depth > DEEPEST || attributes > MOST {
            return Err(damaged("its modules are nested too deep, or have too many attributes"));
        }
        for &(key, value) in pairs.iter().rev() {
            if let &Value::Text(key) = pickle.get(key) {
                let name =
                    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
                open.push((name, value, depth + 1));
            }
        }
    }
    unique(&found)?;
    Ok(found)
}

/// Returns the tensors among a TorchScript archive's constants: "c0", "c1", as its code calls them.
pub(super) fn constants<'a>(pickle: &Pickle<'a>) -> Result<Named<'a>, Problem> {
    let found = tensors(pickle, pickle.root)?;
    Ok(found.into_iter().map(|(name, view)| (format!("c{name}"), view)).collect())
}
