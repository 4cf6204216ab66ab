//! The parts of a program as JSON, by PyTorch's schema (`torch/_export/serde/schema.py`).

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// The batch size of the sample inputs. PyTorch takes 0 and 1 for fixed sizes.
pub const SAMPLE_BATCH: usize = 2;
/// The symbol of the batch size, of which the ranges of sizes speak.
const BATCH: &str = "s0";
/// The number of the strided layout.
const STRIDED: u8 = 7;

/// A type of numbers, by its number in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    Byte = 1,
    Half = 6,
    Float = 7,
}

impl Dtype {
    /// Returns the number of bytes of a value.
    pub fn size(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Half => 2,
            Self::Float => 4,
        }
    }
}

/// Returns the description of a tensor of a fixed shape.
pub fn tensor(dtype: Dtype, shape: &[usize], requires_grad: bool) -> Value {
    meta(dtype, shape.iter().map(|&size| int(size)).collect(), shape, requires_grad)
}

/// Returns the description of a batch of samples of this shape.
pub fn batch(dtype: Dtype, sample: &[usize]) -> Value {
    let symbol = json!({
        "as_expr": {
            "expr_str": format!("Symbol('{BATCH}', positive=True, integer=True)"),
            "hint": int(SAMPLE_BATCH),
        }
    });
    let sizes = std::iter::once(symbol).chain(sample.iter().map(|&size| int(size))).collect();
    let whole: Vec<usize> = std::iter::once(SAMPLE_BATCH).chain(sample.iter().copied()).collect();
    meta(dtype, sizes, &whole, false)
}

fn meta(dtype: Dtype, sizes: Vec<Value>, shape: &[usize], requires_grad: bool) -> Value {
    // Row-major, for every size of the batch.
    let strides = (1..=shape.len()).map(|from| int(shape[from..].iter().product()));
    json!({
        "dtype": dtype as u8,
        "sizes": sizes,
        "requires_grad": requires_grad,
        "device": {"type": "cpu", "index": null},
        "strides": strides.collect::<Vec<_>>(),
        "storage_offset": int(0),
        "layout": STRIDED,
    })
}

fn int(value: usize) -> Value {
    json!({"as_int": value})
}

/// Returns an argument that is a tensor.
pub fn named(name: &str) -> Value {
    json!({"as_tensor": {"name": name}})
}

/// Returns an argument of a node; `keyword` for one that is not given by its position.
pub fn argument(name: &str, value: Value, keyword: bool) -> Value {
    json!({"name": name, "arg": value, "kind": if keyword { 2 } else { 1 }})
}

/// Returns a node that calls an operator of the library "aten".
pub fn node(name: &str, operator: &str, inputs: Vec<Value>, outputs: Vec<Value>) -> Value {
    json!({
        "target": format!("torch.ops.aten.{operator}"),
        "inputs": inputs,
        "outputs": outputs,
        "metadata": {},
        "name": name,
    })
}

/// The parts of a program that depend on the network.
pub struct Program {
    /// The names of the graph's inputs, in the order of `input_specs`.
    pub inputs: Vec<Value>,
    pub input_specs: Vec<Value>,
    pub nodes: Vec<Value>,
    pub tensor_values: serde_json::Map<String, Value>,
    /// The names of the model's input and output.
    pub input: String,
    pub output: String,
}

impl Program {
    /// Returns the whole program. It takes one argument and returns one value, for any batch size from 1 on.
    pub fn json(self) -> Value {
        let leaf = json!({"type": null, "context": null, "children_spec": []});
        let tree = |kind: &str, context: &str, children: Value| json!({"type": kind, "context": context, "children_spec": children});
        let arguments = tree("builtins.tuple", "null", json!([leaf]));
        let named_arguments = tree("builtins.dict", "[]", json!([]));
        let call = tree("builtins.tuple", "null", json!([arguments, named_arguments]));
        let output = named(&self.output);
        json!({
            "graph_module": {
                "graph": {
                    "inputs": self.inputs,
                    "outputs": [&output],
                    "nodes": self.nodes,
                    "tensor_values": self.tensor_values,
                    "sym_int_values": {},
                    "sym_bool_values": {},
                    "sym_float_values": {},
                    "custom_obj_values": {},
                    "is_single_tensor_return": false,
                },
                "signature": {
                    "input_specs": self.input_specs,
                    "output_specs": [{"user_output": {"arg": &output}}],
                },
                "module_call_graph": [{
                    "fqn": "",
                    "signature": {
                        "inputs": [],
                        "outputs": [],
                        // Trees are texts, with the version of their format.
                        "in_spec": json!([1, call]).to_string(),
                        "out_spec": json!([1, leaf]).to_string(),
                        "forward_arg_names": [self.input],
                    },
                }],
                "metadata": {},
                "treespec_namedtuple_fields": {},
            },
            "opset_version": {"aten": 10},
            "range_constraints": {BATCH: {"min_val": 1, "max_val": null}},
            "schema_version": {"major": 8, "minor": 17},
            "verifiers": ["TRAINING"],
            "torch_version": "2.11.0",
            "guards_code": [],
        })
    }
}

/// Returns `{"key": {…}}` as JSON, with the entries in their order.
pub fn ordered<'a>(
    key: &str,
    entries: impl Iterator<Item = (&'a str, Value)> + Clone,
) -> serde_json::Result<Vec<u8>> {
    struct Ordered<I>(I);

    impl<'a, I: Iterator<Item = (&'a str, Value)> + Clone> Serialize for Ordered<I> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.clone())
        }
    }

    serde_json::to_vec(&std::collections::BTreeMap::from([(key, Ordered(entries))]))
}
