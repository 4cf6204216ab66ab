//! The network's tensors in a pickle, and their names.

use super::super::error::Problem;
use super::damaged;
use super::pickle::{Id, Pickle, Value};
use super::tensor::View;

type Named<'a> = Vec<(String, View<'a>)>;

/// The usual keys of the state_dict in a checkpoint.
const USUAL: [&str; 7] =
    ["state_dict", "model_state_dict", "model_state", "model", "module", "net", "weights"];

/// Returns the tensors of a state_dict: one in the pickle under a usual key, or the pickle itself, or the
/// only one there is. The rest of a checkpoint is not read.
pub(super) fn state_dict<'a>(pickle: &Pickle<'a>) -> Result<Named<'a>, Problem> {
    let root = pickle.get(pickle.root);
    let pairs = if let Value::Dict(pairs) = root { &pairs[..] } else { &[] };
    let inside =
        pairs.iter().filter_map(|&(key, value)| match (pickle.get(key), pickle.get(value)) {
            (&Value::Text(key), Value::Dict(_)) if has_tensors(pickle, value) => Some((key, value)),
            _ => None,
        });
    let inside: Vec<_> = inside.collect();
    let usual = USUAL.iter().find_map(|name| inside.iter().find(|(key, _)| key == name));
    if let Some(&(_, usual)) = usual {
        return tensors(pickle, usual);
    }
    if has_tensors(pickle, pickle.root) {
        return tensors(pickle, pickle.root);
    }
    match inside[..] {
        [(_, only)] => tensors(pickle, only),
        [] if pairs.is_empty() => {
            Err(Problem::NoStateDict("the file holds something else".to_owned()))
        }
        [] => {
            let keys = pairs.iter().filter_map(|&(key, _)| match pickle.get(key) {
                &Value::Text(key) => Some(key),
                _ => None,
            });
            let keys: Vec<_> = keys.take(20).collect();
            Err(Problem::NoStateDict(format!("the file holds no tensors under {keys:?}")))
        }
        _ => {
            let keys: Vec<_> = inside.iter().take(20).map(|(key, _)| key).collect();
            Err(Problem::NoStateDict(format!("the file holds several under {keys:?}")))
        }
    }
}

/// Returns whether a dictionary, a list or a tuple holds tensors.
fn has_tensors(pickle: &Pickle<'_>, id: Id) -> bool {
    match pickle.get(id) {
        Value::Dict(pairs) => pairs.iter().any(|&(_, value)| View::is_at(pickle, value)),
        Value::List(items) | Value::Tuple(items) => {
            items.iter().any(|&item| View::is_at(pickle, item))
        }
        _ => false,
    }
}

/// Returns the tensors of a dictionary, a list or a tuple.
fn tensors<'a>(pickle: &Pickle<'a>, id: Id) -> Result<Named<'a>, Problem> {
    let mut found = Vec::new();
    match pickle.get(id) {
        Value::Dict(pairs) => {
            for &(key, value) in pairs {
                let name = match pickle.get(key) {
                    Value::Text(name) => (*name).to_owned(),
                    Value::Int(number) => number.to_string(),
                    _ => "?".to_owned(),
                };
                found.extend(View::at(pickle, value)?.map(|view| (name, view)));
            }
        }
        Value::List(items) | Value::Tuple(items) => {
            for (i, &item) in items.iter().enumerate() {
                found.extend(View::at(pickle, item)?.map(|view| (i.to_string(), view)));
            }
        }
        _ => {}
    }
    unique(&found)?;
    Ok(found)
}

fn unique(found: &Named<'_>) -> Result<(), Problem> {
    let mut names: Vec<_> = found.iter().map(|(name, _)| name).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(damaged(format!("two tensors are called {:?}", pair[0]))),
    }
}

/// Maximum nesting of modules, and maximum number of attributes of modules in total.
const DEEPEST: usize = 32;
const MOST_ATTRIBUTES: usize = 1 << 16;

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
        if depth > DEEPEST || attributes > MOST_ATTRIBUTES {
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
