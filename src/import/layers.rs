//! Which tensors are the matrix and the biases of which Dense layer, in which order, and which way round.

use super::ImportedTensor;
use super::error::Problem;
use super::format::Format;

/// A Dense layer's tensors.
#[derive(Clone, Copy, Debug)]
pub(super) struct DenseTensors<'a> {
    pub weight: &'a ImportedTensor,
    /// Zeros, if no layer has any.
    pub bias: Option<&'a ImportedTensor>,
    /// Whether the matrix is [inputs, outputs], as Keras has it.
    pub transposed: bool,
}

impl DenseTensors<'_> {
    /// [inputs, outputs]
    pub(super) fn sizes(&self) -> [usize; 2] {
        match (self.weight.shape.as_slice(), self.transposed) {
            (&[inputs, outputs], true) | (&[outputs, inputs], false) => [inputs, outputs],
            _ => [0, 0],
        }
    }
}

/// A matrix with its biases.
#[derive(Clone, Copy)]
struct Pair<'a> {
    weight: &'a ImportedTensor,
    bias: Option<&'a ImportedTensor>,
}

/// The Dense layers of a file, first to last.
pub(super) fn dense(
    format: Format,
    tensors: &[ImportedTensor],
) -> Result<Vec<DenseTensors<'_>>, Problem> {
    let keras = matches!(format, Format::Keras | Format::KerasWeights);
    // Keras keeps the state of a Dropout's random numbers among the weights.
    let own = |tensor: &&ImportedTensor| !(keras && tensor.name.contains("seed_generator"));
    let tensors: Vec<_> = tensors.iter().filter(own).collect();
    let strangers: Vec<String> = tensors
        .iter()
        .filter(|tensor| !matches!(tensor.shape.len(), 1 | 2) || tensor.shape.contains(&0))
        .map(|tensor| describe(tensor))
        .collect();
    if tensors.is_empty() || !strangers.is_empty() {
        return Err(Problem::NotDense(if strangers.is_empty() {
            vec!["none".into()]
        } else {
            strangers
        }));
    }
    let pairs = match by_prefix(&tensors) {
        Some(pairs) => pairs,
        None => by_order(&tensors)?,
    };
    let first = transposed_first(format, &tensors);
    let sides: &[bool] = match format {
        Format::Keras | Format::KerasWeights => &[true],
        Format::TorchStateDict | Format::TorchScript => &[false],
        _ if first => &[true, false],
        _ => &[false, true],
    };
    let orders = orders(format, pairs, sides)?;
    for order in &orders {
        for &transposed in sides {
            let layers = with_side(order, transposed);
            if is_chain(&layers) {
                return Ok(layers);
            }
        }
    }
    // None goes together: the comparison with the network says where.
    Ok(with_side(&orders[0], sides[0]))
}

fn with_side<'a>(order: &[Pair<'a>], transposed: bool) -> Vec<DenseTensors<'a>> {
    order.iter().map(|&Pair { weight, bias }| DenseTensors { weight, bias, transposed }).collect()
}

/// "1.weight F32 [64, 784]"
pub(super) fn describe(tensor: &ImportedTensor) -> String {
    let ImportedTensor { name, dtype, shape, .. } = tensor;
    format!("{} {dtype} {shape:?}", shown(name))
}

/// A name from a file, as it may stand on a terminal.
pub(super) fn shown(name: &str) -> String {
    name.escape_debug().take(80).collect()
}

/// "layers/dense/vars/0" → "layers/dense/vars"
fn prefix(name: &str) -> Option<&str> {
    name.rfind(['.', '/']).map(|end| &name[..end])
}

/// The name of the layer, if its tensors have one in common.
fn owner<'a>(pair: &Pair<'a>) -> &'a str {
    prefix(&pair.weight.name).unwrap_or(&pair.weight.name)
}

/// Tensors of the same prefix belong together, in the order in which each prefix is seen first; none if
/// they do not make pairs that way.
fn by_prefix<'a>(tensors: &[&'a ImportedTensor]) -> Option<Vec<Pair<'a>>> {
    let mut places = std::collections::HashMap::new();
    let mut groups: Vec<(Option<&ImportedTensor>, Option<&ImportedTensor>)> = Vec::new();
    for tensor in tensors {
        let place = *places.entry(prefix(&tensor.name)?).or_insert(groups.len());
        if place == groups.len() {
            groups.push((None, None));
        }
        let (weight, bias) = groups.get_mut(place)?;
        let slot = if tensor.shape.len() == 2 { weight } else { bias };
        if slot.replace(tensor).is_some() {
            return None;
        }
    }
    groups.into_iter().map(|(weight, bias)| Some(Pair { weight: weight?, bias })).collect()
}

/// A vector belongs to the matrix before it.
fn by_order<'a>(tensors: &[&'a ImportedTensor]) -> Result<Vec<Pair<'a>>, Problem> {
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    let mut strangers = Vec::new();
    for tensor in tensors {
        match (tensor.shape.len(), pairs.last_mut()) {
            (2, _) => pairs.push(Pair { weight: tensor, bias: None }),
            (_, Some(Pair { bias: bias @ None, .. })) => *bias = Some(tensor),
            _ => strangers.push(describe(tensor)),
        }
    }
    if strangers.is_empty() { Ok(pairs) } else { Err(Problem::NotDense(strangers)) }
}

/// The orders that the layers may have, the likeliest first; at least one.
fn orders<'a>(
    format: Format,
    pairs: Vec<Pair<'a>>,
    sides: &[bool],
) -> Result<Vec<Vec<Pair<'a>>>, Problem> {
    let mut natural = pairs.clone();
    natural.sort_by_cached_key(|pair| natural_key(owner(pair)));
    match format {
        // These sort by name what they are given.
        Format::Keras | Format::KerasWeights => Ok(vec![natural]),
        Format::Safetensors if is_numbered(&natural) => Ok(vec![natural]),
        Format::Safetensors => by_shape(natural, sides).map(|order| vec![order]),
        _ => Ok(vec![pairs, natural]),
    }
}

/// Whether names differ in numbers alone: "fc1", "fc2"; "dense", "dense_1".
fn is_numbered(pairs: &[Pair<'_>]) -> bool {
    let stem = |pair: &Pair<'_>| -> String {
        owner(pair).chars().filter(|c| !c.is_ascii_digit() && *c != '_').collect()
    };
    pairs.windows(2).all(|pair| stem(&pair[0]) == stem(&pair[1]))
}

/// Names without numbers: the only order in which each layer takes what the one before gives.
fn by_shape<'a>(pairs: Vec<Pair<'a>>, sides: &[bool]) -> Result<Vec<Pair<'a>>, Problem> {
    let names = || Problem::Order(pairs.iter().map(|pair| pair.weight.name.clone()).collect());
    // Networks that are deeper number their layers.
    if pairs.len() > 8 {
        return Err(names());
    }
    for &transposed in sides {
        let mut found = Vec::new();
        chains(&with_side(&pairs, transposed), &mut Vec::new(), &mut found);
        match &found[..] {
            [] => {}
            [order] => return Ok(order.iter().map(|&place| pairs[place]).collect()),
            _ => return Err(names()),
        }
    }
    Ok(pairs)
}

/// Every order of all layers in which they are a chain; the search ends with the second.
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

/// Whether each layer takes what the one before gives, and has a bias for each output.
fn is_chain(layers: &[DenseTensors<'_>]) -> bool {
    let biases = layers
        .iter()
        .all(|layer| layer.bias.is_none_or(|bias| bias.shape.first() == Some(&layer.sizes()[1])));
    biases && layers.windows(2).all(|pair| pair[0].sizes()[1] == pair[1].sizes()[0])
}

/// Whether matrices are likely to be Keras's, which decides where all are square.
fn transposed_first(format: Format, tensors: &[&ImportedTensor]) -> bool {
    let torch = tensors.iter().any(|tensor| tensor.name.ends_with("weight"));
    let kernel = tensors.iter().any(|tensor| tensor.name.ends_with("kernel"));
    kernel || format == Format::Npz && !torch
}

/// Texts and numbers in turn, so that "fc10" comes behind "fc9".
fn natural_key(name: &str) -> Vec<(String, u64)> {
    let mut parts: Vec<(String, u64)> = vec![(String::new(), 0)];
    let mut in_number = false;
    for c in name.chars() {
        let Some((text, number)) = parts.last_mut() else { break };
        match c.to_digit(10) {
            Some(digit) => {
                // From 1, so that "dense_1" comes behind "dense".
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Dtype;

    fn tensor(name: &str, shape: &[usize]) -> ImportedTensor {
        let (name, shape) = (name.to_owned(), shape.to_vec());
        ImportedTensor { name, dtype: Dtype::F32, shape, values: None }
    }

    /// A tensor's name and shape.
    type Shaped<'a> = (&'a str, &'a [usize]);

    /// The names of the matrices in order, a star behind those of Keras's side.
    fn order(format: Format, tensors: &[Shaped<'_>]) -> Result<String, String> {
        let tensors: Vec<_> = tensors.iter().map(|(name, shape)| tensor(name, shape)).collect();
        let layers = dense(format, &tensors).map_err(|error| error.to_string())?;
        let names = layers.iter().map(|layer| {
            format!("{}{}", layer.weight.name, if layer.transposed { "*" } else { "" })
        });
        Ok(names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn layers_come_in_order_and_the_right_way_round() {
        let cases: [(Format, &[Shaped<'_>], &str); 7] = [
            (
                Format::TorchStateDict,
                &[("b.weight", &[3, 4]), ("b.bias", &[3]), ("a.weight", &[2, 3]), ("a.bias", &[2])],
                "b.weight a.weight",
            ),
            // Sorted by name, as Python's safetensors writes: biases first, and 10 before 9.
            (
                Format::Safetensors,
                &[
                    ("10.bias", &[2]),
                    ("10.weight", &[2, 3]),
                    ("9.bias", &[3]),
                    ("9.weight", &[3, 4]),
                ],
                "9.weight 10.weight",
            ),
            // Without numbers the shapes tell.
            (
                Format::Safetensors,
                &[("decoder.weight", &[2, 3]), ("encoder.weight", &[3, 4])],
                "encoder.weight decoder.weight",
            ),
            (
                Format::Safetensors,
                &[("a.kernel", &[4, 3]), ("b.kernel", &[3, 2])],
                "a.kernel* b.kernel*",
            ),
            // numpy.savez(f, *model.get_weights())
            (
                Format::Npz,
                &[("arr_0", &[4, 3]), ("arr_1", &[3]), ("arr_2", &[3, 2]), ("arr_3", &[2])],
                "arr_0* arr_2*",
            ),
            (Format::Npz, &[("arr_0", &[3, 3]), ("arr_1", &[3])], "arr_0*"),
            (
                Format::KerasWeights,
                &[
                    ("layers/dense_10/vars/0", &[3, 3]),
                    ("layers/dense_2/vars/0", &[4, 3]),
                    ("layers/dropout/seed_generator/vars/0", &[2]),
                ],
                "layers/dense_2/vars/0* layers/dense_10/vars/0*",
            ),
        ];
        for (format, tensors, expected) in cases {
            assert_eq!(order(format, tensors), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        let error = order(Format::Safetensors, &[("a.weight", &[3, 3]), ("b.weight", &[3, 3])]);
        assert!(error.is_err_and(|e| e.contains("do not tell which layer is first")));
        let error = order(Format::TorchStateDict, &[("conv.weight", &[8, 1, 3, 3]), ("x", &[3])]);
        assert!(error.is_err_and(|e| e.contains("\n  conv.weight F32 [8, 1, 3, 3]")));
        assert!(order(Format::Npz, &[("x", &[3])]).is_err_and(|e| e.contains("\n  x F32 [3]")));
        assert!(order(Format::Npz, &[]).is_err_and(|e| e.contains("\n  none")));
    }
}
