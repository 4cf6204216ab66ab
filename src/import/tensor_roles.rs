//! The role of a tensor by its name: the weight or the bias of a layer, or something else.

use std::collections::{BTreeSet, HashMap};

use super::ImportedTensor;

/// The role of a tensor in the layer that owns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// PyTorch's matrix, [outputs, inputs].
    Weight,
    /// Keras's matrix, [inputs, outputs].
    Kernel,
    /// A matrix whose name does not determine its orientation.
    Matrix,
    /// The biases.
    Bias,
}

/// A layer's matrix with its biases.
#[derive(Clone, Debug)]
pub(super) struct Pair<'a> {
    /// The name of the layer: "1" of "1.weight".
    pub owner: String,
    pub role: Role,
    pub weight: &'a ImportedTensor,
    pub bias: Option<&'a ImportedTensor>,
}

/// Returns the tensors of Dense layers, each only with those of the same owner, in the order in which the owners
/// appear, and the tensors that belong to something else.
pub(super) fn pairs<'a>(
    tensors: &[&'a ImportedTensor],
) -> (Vec<Pair<'a>>, Vec<&'a ImportedTensor>) {
    // Names such as "W1" and "fc1_bias" are read only if no name has a separator: PyTorch's
    // "attention.in_proj_weight" is not a Linear's weight.
    let compact = !tensors.iter().any(|tensor| tensor.name.contains(['.', '/']));
    let mut places = HashMap::new();
    let mut groups: Vec<(String, Group<'a>)> = Vec::new();
    let mut others = Vec::new();
    for &tensor in tensors {
        let Some((owner, role)) = named(&tensor.name, compact) else {
            others.push(tensor);
            continue;
        };
        let place = *places.entry(owner.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((owner, Group::default()));
        }
        let fits = tensor.shape.len() == if role == Role::Bias { 1 } else { 2 };
        match groups.get_mut(place) {
            Some((_, group)) if fits && !tensor.shape.contains(&0) => group.add(role, tensor),
            _ => others.push(tensor),
        }
    }
    let mut pairs = Vec::new();
    for (owner, group) in groups {
        match (group.weight, &group.further[..]) {
            (Some((role, weight)), []) => {
                pairs.push(Pair { owner, role, weight, bias: group.bias });
            }
            (weight, further) => {
                others.extend(weight.map(|(_, weight)| weight).into_iter().chain(group.bias));
                others.extend(further);
            }
        }
    }
    (pairs, others)
}

#[derive(Default)]
struct Group<'a> {
    weight: Option<(Role, &'a ImportedTensor)>,
    bias: Option<&'a ImportedTensor>,
    /// Further tensors of either role.
    further: Vec<&'a ImportedTensor>,
}

impl<'a> Group<'a> {
    fn add(&mut self, role: Role, tensor: &'a ImportedTensor) {
        match role {
            Role::Bias if self.bias.is_none() => self.bias = Some(tensor),
            Role::Weight | Role::Kernel | Role::Matrix if self.weight.is_none() => {
                self.weight = Some((role, tensor));
            }
            _ => self.further.push(tensor),
        }
    }
}

/// Splits "fc1.weight" into the owner "fc1" and the role; none for other names.
fn named(name: &str, compact: bool) -> Option<(String, Role)> {
    // TensorFlow's variables end in the number of their output.
    let name = name.strip_suffix(":0").unwrap_or(name);
    if let Some(owner) = name.strip_suffix("/vars/0") {
        return Some((owner.to_owned(), Role::Kernel));
    }
    if let Some(owner) = name.strip_suffix("/vars/1") {
        return Some((owner.to_owned(), Role::Bias));
    }
    let (owner, leaf) = match name.rfind(['.', '/']) {
        Some(end) => (&name[..end], &name[end + 1..]),
        None => ("", name),
    };
    match role(leaf) {
        Some(_) if is_other(owner) => None,
        Some(role) => Some((owner.to_owned(), role)),
        None if compact => compact_name(name),
        None => None,
    }
}

fn role(leaf: &str) -> Option<Role> {
    match leaf {
        "weight" => Some(Role::Weight),
        "kernel" => Some(Role::Kernel),
        "weights" | "w" | "W" => Some(Role::Matrix),
        "bias" | "biases" | "b" | "B" => Some(Role::Bias),
        _ => None,
    }
}

/// Parses "W1", "b_1", "weights1", "fc1_weight".
fn compact_name(name: &str) -> Option<(String, Role)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() < name.len() {
        let role = role(stem.trim_end_matches('_'))?;
        return Some((name[stem.len()..].to_owned(), role));
    }
    let (owner, leaf) = name.rsplit_once('_')?;
    Some((owner.to_owned(), role(leaf)?)).filter(|_| !is_other(owner))
}

/// Returns whether a layer is named like an embedding, whose matrix looks like that of a Linear without bias.
fn is_embedding(owner: &str) -> bool {
    let last = owner.rsplit(['.', '/']).next().unwrap_or(owner).to_lowercase();
    last.contains("embed") || last == "emb" || last == "wte" || last == "wpe"
}

/// Returns whether a matrix without biases may be an embedding's by its name. Keras names the matrices of its Dense
/// layers "kernel", and the layers themselves "dense", unless they are attributes of a custom model.
pub(super) fn may_be_embedding(name: &str) -> bool {
    let name = name.strip_suffix(":0").unwrap_or(name);
    let is_kernel = name.rsplit(['.', '/']).next() == Some("kernel");
    let owner = name.strip_suffix("/vars/0").and_then(|owner| owner.rsplit('/').next());
    let is_dense = owner.is_some_and(|owner| owner == "dense" || owner.starts_with("dense_"));
    !(is_kernel || is_dense)
}

/// Returns whether a layer is named like another kind, whose tensors look like those of a Dense.
pub(super) fn is_other(owner: &str) -> bool {
    let last = owner.rsplit(['.', '/']).next().unwrap_or(owner);
    is_embedding(owner) || last.starts_with("einsum_dense") || last.starts_with("time_distributed")
}

/// Returns whether a name is only an index in a list: "arr_0", "3", "c0" of a frozen TorchScript.
pub(super) fn is_place(name: &str) -> bool {
    let number = name.strip_prefix("arr_").or(name.strip_prefix('c')).unwrap_or(name);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Describes the tensors that do not belong to a Dense layer, one per line: "2.weight F32 [16]: a norm layer's
/// scale".
pub(super) fn described(others: &[&ImportedTensor], all: &[ImportedTensor]) -> Vec<String> {
    let names: BTreeSet<&str> = all.iter().map(|tensor| tensor.name.as_str()).collect();
    let line = |tensor: &&ImportedTensor| {
        let ImportedTensor { name, dtype, shape, .. } = *tensor;
        // Sparse and quantized tensors are listed without a shape.
        let opaque = dtype.size().is_none() && named(name, false).is_some();
        match kind(name, shape, &names).filter(|_| !opaque) {
            Some(kind) => format!("{} {dtype} {shape:?}: {kind}", shown(name)),
            None => format!("{} {dtype} {shape:?}", shown(name)),
        }
    };
    others.iter().map(line).collect()
}

/// Returns a name from a file in a form that is safe to print on a terminal.
pub(super) fn shown(name: &str) -> String {
    name.escape_debug().take(80).collect()
}

/// Last parts of names that only one kind of layer has, by PyTorch's and Keras's own names.
const KINDS: [(&[&str], &str); 9] = [
    (
        &["running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance"],
        "a batch norm's statistics",
    ),
    (&["gamma", "beta"], "a norm layer's scale or shift"),
    (&["in_proj_weight", "in_proj_bias", "bias_k", "bias_v"], "attention's projection"),
    (&["weight_g", "weight_v", "original0", "original1"], "a part of weight_norm"),
    (&["weight_orig", "weight_mask", "weight_u"], "a part of pruning or spectral_norm"),
    (&["alpha"], "the slopes of a PReLU"),
    (&["embeddings"], "an embedding"),
    (&["recurrent_kernel", "weight_ih", "weight_hh"], "a recurrent layer's weights"),
    (&["scale"], "a scale"),
];

/// Returns the kind of layer that a tensor belongs to, if its name and shape show it.
fn kind(name: &str, shape: &[usize], all: &BTreeSet<&str>) -> Option<&'static str> {
    let name = name.strip_suffix(":0").unwrap_or(name);
    let (owner, leaf) = match name.rfind(['.', '/']) {
        Some(end) => name.split_at(end),
        None => ("", name),
    };
    let leaf = leaf.trim_start_matches(['.', '/']);
    let listed = KINDS.iter().find(|(leaves, _)| leaves.contains(&leaf));
    if let Some((_, kind)) = listed {
        return Some(kind);
    }
    if leaf.starts_with("weight_ih_") || leaf.starts_with("weight_hh_") {
        return Some("a recurrent layer's weights");
    }
    let sibling = |leaf: &str| all.contains(format!("{owner}.{leaf}").as_str());
    match (role(leaf), shape.len()) {
        (Some(Role::Weight | Role::Kernel), 2) if is_embedding(owner) => Some("an embedding"),
        (Some(_), _) if is_other(owner) => Some("a layer of another class"),
        (Some(Role::Weight), 1) if sibling("running_mean") => Some("a batch norm's scale"),
        (Some(Role::Weight), 1) if sibling("bias") => Some("a norm layer's scale"),
        (Some(Role::Weight), 0 | 1) => Some("a norm layer's scale, or the slopes of a PReLU"),
        (Some(Role::Weight | Role::Kernel), 3..) => Some("a convolution's weights"),
        (Some(Role::Bias), 1) if sibling("weight") => Some("the bias of such a layer"),
        (Some(Role::Bias), _) => Some("a bias without a weight"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Dtype;

    fn tensor(name: &str, shape: &[usize]) -> ImportedTensor {
        let (name, shape) = (name.to_owned(), shape.to_vec());
        ImportedTensor { name, dtype: Dtype::F32, shape, values: None }
    }

    /// Returns "owner: weight bias, …; others" for tensors by name and shape.
    fn sorted(tensors: &[(&str, &[usize])]) -> String {
        let tensors: Vec<_> = tensors.iter().map(|(name, shape)| tensor(name, shape)).collect();
        let (pairs, others) = pairs(&tensors.iter().collect::<Vec<_>>());
        let pairs = pairs.iter().map(|pair| {
            let bias = pair.bias.map_or("-", |bias| &bias.name);
            format!("{}: {} {bias}, ", pair.owner, pair.weight.name)
        });
        let others = others.iter().map(|tensor| format!(" {}", tensor.name));
        format!("{};{}", pairs.collect::<String>(), others.collect::<String>())
    }

    #[test]
    fn tensors_are_paired_only_within_their_prefix() {
        let m: &[usize] = &[4, 4];
        for (tensors, expected) in [
            (
                &[("1.weight", m), ("2.weight", &[4]), ("1.bias", &[4])][..],
                "1: 1.weight 1.bias, ; 2.weight",
            ),
            (&[("1.weight", m), ("2.bias", &[4])], "1: 1.weight -, ; 2.bias"),
            (&[("W1", m), ("b1", &[4]), ("a1", &[4])], "1: W1 b1, ; a1"),
            (&[("fc_weight", m), ("fc_bias", &[4])], "fc: fc_weight fc_bias, ;"),
            (&[("weight", m), ("bias", &[4])], ": weight bias, ;"),
            (
                &[("a.in_proj_weight", m), ("a.in_proj_bias", &[4])],
                "; a.in_proj_weight a.in_proj_bias",
            ),
            (&[("emb.weight", m), ("1.weight", m)], "1: 1.weight -, ; emb.weight"),
            (&[("d/kernel:0", m), ("d/bias:0", &[4])], "d: d/kernel:0 d/bias:0, ;"),
            (&[("a.weight", m), ("a.kernel", m)], "; a.weight a.kernel"),
            (
                &[("layers/dense/vars/0", m), ("layers/dense/vars/1", &[4])],
                "layers/dense: layers/dense/vars/0 layers/dense/vars/1, ;",
            ),
        ] {
            assert_eq!(sorted(tensors), expected);
        }
    }

    #[test]
    fn remaining_tensors_are_named() {
        let all = [
            tensor("2.weight", &[16]),
            tensor("2.bias", &[16]),
            tensor("2.running_mean", &[16]),
            tensor("3.weight", &[1]),
            tensor("c.weight", &[8, 1, 3, 3]),
            tensor("x", &[]),
        ];
        let lines = described(&all.iter().collect::<Vec<_>>(), &all);
        let expected = [
            "2.weight F32 [16]: a batch norm's scale",
            "2.bias F32 [16]: the bias of such a layer",
            "2.running_mean F32 [16]: a batch norm's statistics",
            "3.weight F32 [1]: a norm layer's scale, or the slopes of a PReLU",
            "c.weight F32 [8, 1, 3, 3]: a convolution's weights",
            "x F32 []",
        ];
        assert_eq!(lines, expected);
    }
}
