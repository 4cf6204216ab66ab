//! Which tensors are the matrix and the biases of which Dense layer, in which order and orientation.
//!
//! A reader that knows the layers (Keras's configs, TorchScript's code) says which tensors belong to them;
//! otherwise names decide, and where several assignments remain it is an error: never a guess.

use super::dense_tensors::{DenseTensors, with_side};
use super::detect_format::Format;
use super::error::Problem;
use super::file_contents::Placed;
use super::layer_order;
use super::tensor_roles::{self, Pair, Role};
use super::{Imported, ImportedTensor};

/// The Dense layers of a file, first to last.
#[derive(Debug)]
pub(super) struct Dense<'a> {
    pub layers: Vec<DenseTensors<'a>>,
    /// The names of the layers, if their tensors were found by name.
    pub owners: Option<Vec<String>>,
    /// Whether a missing bias is known to be absent, and not lost.
    pub exact: bool,
}

/// The caller's knowledge of the network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// The whole network: the order of the file is then used where names do not determine one.
    pub network: bool,
    /// The activations: unnamed arrays are then taken as alternating weights and biases.
    pub activation: bool,
}

/// Finds the Dense layers; every tensor must belong to one.
pub(super) fn dense(imported: &Imported, known: Known) -> Result<Dense<'_>, Problem> {
    let keras = matches!(imported.format, Format::Keras | Format::KerasWeights);
    if let Some(placed) = &imported.placed {
        return by_place(imported, placed, keras);
    }
    let tensors: Vec<_> =
        imported.tensors.iter().filter(|tensor| !keras || !is_seed(tensor)).collect();
    if tensors.is_empty() {
        return Err(Problem::NotDense(vec!["none".into()]));
    }
    if tensors.iter().all(|tensor| tensor_roles::is_place(&tensor.name)) {
        return unnamed(imported, &tensors, known);
    }
    let (pairs, others) = tensor_roles::pairs(&tensors);
    if !others.is_empty() || pairs.is_empty() {
        return Err(Problem::NotDense(tensor_roles::described(&others, &imported.tensors)));
    }
    let sides = sides(imported.format, &pairs)?;
    let pairs = layer_order::ordered(imported.format, pairs, &sides, known.network)?;
    let owners = Some(pairs.iter().map(|pair| pair.owner.clone()).collect());
    Ok(Dense { layers: fitting(&pairs, &sides), owners, exact: false })
}

/// Returns whether a tensor is the state of a Dropout's random numbers, which Keras keeps among the weights.
fn is_seed(tensor: &ImportedTensor) -> bool {
    tensor.name.contains("seed_generator")
}

fn by_place<'a>(
    imported: &'a Imported,
    placed: &[Placed],
    transposed: bool,
) -> Result<Dense<'a>, Problem> {
    let taken = |place: usize| {
        placed.iter().any(|layer| layer.weight == place || layer.bias == Some(place))
    };
    let tensors = imported.tensors.iter().enumerate();
    let others = tensors
        .filter(|(place, tensor)| !(taken(*place) || transposed && is_seed(tensor)))
        .map(|(_, tensor)| tensor);
    let others: Vec<_> = others.collect();
    if !others.is_empty() || placed.is_empty() {
        return Err(Problem::NotDense(tensor_roles::described(&others, &imported.tensors)));
    }
    let layer = |layer: &Placed| {
        let weight = imported.tensors.get(layer.weight)?;
        let bias = layer.bias.and_then(|place| imported.tensors.get(place));
        Some(DenseTensors { weight, bias, transposed })
    };
    let layers: Vec<_> = placed.iter().filter_map(layer).collect();
    let wrong = layers.iter().filter(|layer| layer.weight.shape.len() != 2);
    let wrong: Vec<_> = wrong.map(|layer| layer.weight).collect();
    match wrong.is_empty() {
        true => Ok(Dense { layers, owners: None, exact: true }),
        false => Err(Problem::NotDense(tensor_roles::described(&wrong, &imported.tensors))),
    }
}

/// Pairs arrays of which only the order is known: a matrix, the vector after it, and so on. The vector
/// after a matrix could just as well be a norm's scale or the slopes of a PReLU: the user has to say what it is.
fn unnamed<'a>(
    imported: &Imported,
    tensors: &[&'a ImportedTensor],
    known: Known,
) -> Result<Dense<'a>, Problem> {
    let mut sorted = tensors.to_vec();
    sorted.sort_by_cached_key(|tensor| layer_order::natural_key(&tensor.name));
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    let mut others = Vec::new();
    for tensor in sorted {
        let (rank, empty) = (tensor.shape.len(), tensor.shape.contains(&0));
        match pairs.last_mut() {
            _ if rank == 2 && !empty => pairs.push(Pair {
                owner: tensor.name.clone(),
                role: Role::Matrix,
                weight: tensor,
                bias: None,
            }),
            Some(Pair { bias: bias @ None, .. }) if rank == 1 => *bias = Some(tensor),
            _ => others.push(tensor),
        }
    }
    if !others.is_empty() || pairs.is_empty() {
        return Err(Problem::NotDense(tensor_roles::described(&others, &imported.tensors)));
    }
    if !(known.network || known.activation) {
        return Err(Problem::Unnamed(listed(&imported.tensors)));
    }
    let sides = sides(imported.format, &pairs)?;
    Ok(Dense { layers: fitting(&pairs, &sides), owners: None, exact: false })
}

fn listed(tensors: &[ImportedTensor]) -> Vec<String> {
    tensor_roles::described(&tensors.iter().collect::<Vec<_>>(), &[])
}

/// Returns the possible orientations of the matrices, the likeliest first; only one if names or format determine it.
fn sides(format: Format, pairs: &[Pair<'_>]) -> Result<Vec<bool>, Problem> {
    let all = |role: Role| pairs.iter().all(|pair| pair.role == role);
    Ok(match format {
        Format::Keras | Format::KerasWeights => vec![true],
        Format::TorchStateDict | Format::TorchScript if !all(Role::Kernel) => vec![false],
        _ if all(Role::Weight) => vec![false, true],
        _ if all(Role::Kernel) => vec![true, false],
        _ => {
            let both =
                [false, true].iter().all(|&side| layer_order::is_chain(&with_side(pairs, side)));
            if both {
                let names = pairs.iter().map(|pair| pair.weight.name.clone()).collect();
                return Err(Problem::Sides(names));
            }
            vec![true, false]
        }
    })
}

/// Returns the layers in the first of these orientations in which they form a chain.
fn fitting<'a>(pairs: &[Pair<'a>], sides: &[bool]) -> Vec<DenseTensors<'a>> {
    let chain = sides.iter().map(|&side| with_side(pairs, side));
    // If none matches, the comparison with the network reports where.
    chain
        .clone()
        .find(|layers| layer_order::is_chain(layers))
        .or(chain.clone().next())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Dtype;

    /// A tensor's name and shape.
    type Shaped<'a> = (&'a str, &'a [usize]);

    const NOTHING: Known = Known { network: false, activation: false };
    const ACTIVATION: Known = Known { network: false, activation: true };

    /// Returns the names of the matrices in order, with a star after those in Keras's orientation.
    fn order(format: Format, tensors: &[Shaped<'_>], known: Known) -> Result<String, String> {
        let tensor = |&(name, shape): &Shaped<'_>| ImportedTensor {
            name: name.to_owned(),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            values: None,
        };
        let file = Imported::new(format, tensors.iter().map(tensor).collect());
        let dense = dense(&file, known).map_err(|error| error.to_string())?;
        let names = dense.layers.iter().map(|layer| {
            format!("{}{}", layer.weight.name, if layer.transposed { "*" } else { "" })
        });
        Ok(names.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn layers_are_found_in_order_and_orientation() {
        let cases: [(Format, &[Shaped<'_>], &str); 6] = [
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
            // Without numbers the shapes determine the order.
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
            (
                Format::KerasWeights,
                &[
                    ("layers/dense_10/vars/0", &[3, 3]),
                    ("layers/dense_2/vars/0", &[4, 3]),
                    ("layers/dropout/seed_generator/vars/0", &[2]),
                ],
                "layers/dense_2/vars/0* layers/dense_10/vars/0*",
            ),
            (Format::Npz, &[("w1", &[3, 4]), ("b1", &[3])], "w1"),
        ];
        for (format, tensors, expected) in cases {
            assert_eq!(order(format, tensors, NOTHING), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn an_ambiguous_order_is_an_error() {
        let error = |format, tensors: &[Shaped<'_>]| order(format, tensors, NOTHING).unwrap_err();
        let square = [("a.weight", &[3, 3][..]), ("b.weight", &[3, 3])];
        for format in [Format::Safetensors, Format::TorchStateDict, Format::Npz] {
            assert!(error(format, &square).contains("do not determine which layer is first"));
        }
        let conv = [("conv.weight", &[8, 1, 3, 3][..]), ("x", &[3])];
        assert!(error(Format::TorchStateDict, &conv).contains("\n  conv.weight F32 [8, 1, 3, 3]"));
        assert!(error(Format::Npz, &[("x", &[3])]).contains("\n  x F32 [3]"));
        assert!(error(Format::Npz, &[]).contains("\n  none"));
    }

    /// `numpy.savez(f, *model.get_weights())`: a vector may be a bias, a scale or a PReLU's slopes.
    #[test]
    fn unnamed_arrays_are_weights_only_where_the_user_says_so() {
        let arrays: &[Shaped<'_>] =
            &[("arr_0", &[4, 3]), ("arr_1", &[3]), ("arr_2", &[3, 2]), ("arr_3", &[2])];
        let error = order(Format::Npz, arrays, NOTHING).unwrap_err();
        assert!(error.contains("arr_1 F32 [3]") && error.contains("--activation"), "{error}");
        assert_eq!(order(Format::Npz, arrays, ACTIVATION), Ok("arr_0* arr_2*".to_owned()));
        // A single pair may be a Dense layer without biases and the scale of an RMSNorm.
        assert!(order(Format::Npz, &arrays[..2], NOTHING).unwrap_err().contains("--activation"));
        // 10 comes after 9.
        let many: Vec<String> = (0..11).map(|i| format!("arr_{i}")).collect();
        let shapes: Vec<[usize; 2]> = (0..11).map(|i| [i + 2, i + 3]).collect();
        let mut many: Vec<Shaped<'_>> =
            many.iter().zip(&shapes).map(|(name, shape)| (&name[..], &shape[..])).collect();
        many.sort();
        let found = order(Format::Npz, &many, ACTIVATION).unwrap();
        assert!(found.ends_with("arr_9* arr_10*"), "{found}");
    }

    #[test]
    fn square_matrices_without_an_orientation_are_an_error() {
        let square: &[Shaped<'_>] = &[("arr_0", &[3, 3]), ("arr_1", &[3])];
        let error = order(Format::Npz, square, ACTIVATION).unwrap_err();
        assert!(error.contains("arr_0") && error.contains("which way round"), "{error}");
        let named: &[Shaped<'_>] = &[("1.weight", &[3, 3]), ("1.bias", &[3])];
        assert_eq!(order(Format::Npz, named, NOTHING), Ok("1.weight".to_owned()));
    }
}
