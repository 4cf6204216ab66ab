//! The order of the layers of a file, by their names and shapes.

use super::dense_tensors::{DenseTensors, with_side};
use super::detect_format::Format;
use super::error::Problem;
use super::tensor_roles::{Pair, Role};

/// Maximum number of layers without numbers whose order is searched for; deeper networks number theirs.
const MOST: usize = 8;

/// Returns the layers in order.
///
/// # Errors
/// Names that determine no order, where shapes allow several.
pub(super) fn ordered<'a>(
    format: Format,
    pairs: Vec<Pair<'a>>,
    sides: &[bool],
    network: bool,
) -> Result<Vec<Pair<'a>>, Problem> {
    let mut natural = pairs.clone();
    natural.sort_by_cached_key(|pair| natural_key(&pair.owner));
    // safetensors and HDF5 sort names; the others keep the order in which the layers were defined.
    let sorted = matches!(format, Format::Safetensors | Format::Keras | Format::KerasWeights);
    let agrees = pairs.iter().map(|pair| &pair.owner).eq(natural.iter().map(|pair| &pair.owner));
    // Keras numbers layers as they are created, which may differ from the order of their use: in a file of another
    // kind its numbers mean nothing.
    let kernels = sorted && format == Format::Safetensors && pairs.iter().all(is_kernel);
    let certain =
        is_numbered(&natural) && !kernels && (sorted || agrees || is_sequential(&natural));
    if certain || pairs.len() < 2 {
        return Ok(natural);
    }
    match by_shape(&natural, sides) {
        Shapes::One(order) => Ok(order),
        Shapes::None => Ok(if sorted { natural } else { pairs }),
        Shapes::Several if network && !sorted => Ok(pairs),
        Shapes::Several => Err(Problem::Order {
            names: pairs.iter().map(|pair| pair.weight.name.clone()).collect(),
            sorted,
        }),
    }
}

fn is_kernel(pair: &Pair<'_>) -> bool {
    pair.role == Role::Kernel
}

/// Returns whether numbers alone determine the order: adjacent layers differ first in a number after the same text.
fn is_numbered(pairs: &[Pair<'_>]) -> bool {
    pairs.windows(2).all(|pair| {
        let (a, b) = (natural_key(&pair[0].owner), natural_key(&pair[1].owner));
        a.iter().zip(&b).find(|(a, b)| a != b).is_some_and(|(a, b)| {
            let stem = |text: &str| text.trim_end_matches('_').to_owned();
            stem(&a.0) == stem(&b.0) && a.1 != b.1
        })
    })
}

/// Returns whether every layer is a child of the same nn.Sequential, by its number there.
fn is_sequential(pairs: &[Pair<'_>]) -> bool {
    let parent = |pair: &Pair<'_>| {
        let (parent, number) = pair.owner.rsplit_once('.').unwrap_or(("", &pair.owner));
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| parent.to_owned())
    };
    pairs.windows(2).all(|pair| parent(&pair[0]).is_some() && parent(&pair[0]) == parent(&pair[1]))
}

/// The orders in which each layer takes the output of the one before.
enum Shapes<'a> {
    None,
    One(Vec<Pair<'a>>),
    Several,
}

fn by_shape<'a>(pairs: &[Pair<'a>], sides: &[bool]) -> Shapes<'a> {
    // The search would take too long.
    if pairs.len() > MOST {
        return Shapes::Several;
    }
    for &transposed in sides {
        let mut found = Vec::new();
        chains(&with_side(pairs, transposed), &mut Vec::new(), &mut found);
        match &found[..] {
            [] => {}
            [order] => return Shapes::One(order.iter().map(|&i| pairs[i].clone()).collect()),
            _ => return Shapes::Several,
        }
    }
    Shapes::None
}

/// Finds every order of all layers in which they form a chain; the search ends with the second.
fn chains(layers: &[DenseTensors<'_>], begun: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    if begun.len() == layers.len() {
        let order: Vec<_> = begun.iter().map(|&place| layers[place]).collect();
        if is_chain(&order) {
            found.push(begun.clone());
        }
        return;
    }
    for place in 0..layers.len() {
        let fits =
            begun.last().is_none_or(|&last| layers[last].sizes()[1] == layers[place].sizes()[0]);
        if fits && !begun.contains(&place) && found.len() < 2 {
            begun.push(place);
            chains(layers, begun, found);
            begun.pop();
        }
    }
}

/// Returns whether each layer takes the output of the one before, and has a bias for each output.
pub(super) fn is_chain(layers: &[DenseTensors<'_>]) -> bool {
    let biases = layers
        .iter()
        .all(|layer| layer.bias.is_none_or(|bias| bias.shape.first() == Some(&layer.sizes()[1])));
    biases && layers.windows(2).all(|pair| pair[0].sizes()[1] == pair[1].sizes()[0])
}

/// Returns alternating texts and numbers, so that "fc10" comes after "fc9".
pub(super) fn natural_key(name: &str) -> Vec<(String, u64)> {
    let mut parts: Vec<(String, u64)> = vec![(String::new(), 0)];
    let mut in_number = false;
    for c in name.chars() {
        let Some((text, number)) = parts.last_mut() else { break };
        match c.to_digit(10) {
            Some(digit) => {
                // From 1, so that "dense_1" comes after "dense".
                let value = if in_number { *number - 1 } else { 0 };
                *number = value.saturating_mul(10).saturating_add(digit.into()).saturating_add(1);
                in_number = true;
            }
            None if in_number => {
                parts.push((c.to_string(), 0));
                in_number = false;
            }
            None => text.push(c),
        }
    }
    parts
}
