//! The names that a pickle may refer to: those that `torch.load(weights_only=True)` allows
//! (torch/_weights_only_unpickler.py), and the classes of TorchScript.

/// Names by their modules.
const KNOWN: [(&str, &[&str]); 10] = [
    ("collections", &["OrderedDict", "Counter"]),
    // "__builtin__" is Python 2's name, which protocol 2 keeps.
    ("builtins", &["set", "frozenset", "bytearray", "bytes", "complex"]),
    ("__builtin__", &["set", "frozenset", "bytearray", "bytes", "complex"]),
    ("_codecs", &["encode"]),
    ("torch", &["Size", "device", "Tensor"]),
    (
        "torch._utils",
        &[
            "_rebuild_tensor",
            "_rebuild_tensor_v2",
            "_rebuild_tensor_v3",
            "_rebuild_parameter",
            "_rebuild_parameter_with_state",
            "_rebuild_qtensor",
            "_rebuild_sparse_tensor",
            "_rebuild_meta_tensor_no_storage",
            "_rebuild_nested_tensor",
            "_rebuild_wrapper_subclass",
            "_rebuild_device_tensor_from_cpu_tensor",
        ],
    ),
    ("torch._tensor", &["_rebuild_from_type_v2"]),
    ("torch.nn.parameter", &["Parameter", "Buffer"]),
    ("torch.serialization", &["_get_layout"]),
    (
        "torch.jit._pickle",
        &[
            "build_intlist",
            "build_doublelist",
            "build_boollist",
            "build_tensorlist",
            "restore_type_tag",
        ],
    ),
];

/// The numeric types, whose names end in their bits: "uint8", "float8_e5m2".
const NUMBERS: [&str; 9] =
    ["bfloat", "float", "complex", "int", "uint", "qint", "quint", "bits", "bool"];

/// How the elements of a quantized tensor are scaled.
const SCHEMES: [&str; 2] = ["per_tensor_", "per_channel_"];

/// Returns whether a pickle may refer to a name; it is never called.
pub(super) fn is_known(module: &str, name: &str) -> bool {
    // A class of a TorchScript archive is only a name here.
    if module.split('.').next() == Some("__torch__") {
        return true;
    }
    let listed = KNOWN.iter().any(|(known, names)| *known == module && names.contains(&name));
    listed || module == "torch" && is_type(name) || module == "torch.storage" && is_storage(name)
}

fn is_storage(name: &str) -> bool {
    name.strip_suffix("Storage").is_some_and(|kind| kind.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_type(name: &str) -> bool {
    let is_number = |stem: &str| {
        let bits = name.strip_prefix(stem);
        bits.is_some_and(|bits| bits.is_empty() || bits.starts_with(|c: char| c.is_ascii_digit()))
    };
    let is_scheme = SCHEMES.iter().any(|stem| name.starts_with(stem));
    is_storage(name) || NUMBERS.iter().any(|stem| is_number(stem)) || is_scheme
}
