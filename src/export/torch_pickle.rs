//! The pickles in PyTorch's files: of a `state_dict`, an `OrderedDict` of tensors and nothing else, and of a model's
//! arguments.
//!
//! Protocol 2, as `torch.save` writes it (opcodes: CPython's `Lib/pickletools.py`). A tensor is
//! `torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks)`, and a
//! storage the persistent id `('storage', type, key, device, count)`: exactly what `weights_only=True`
//! allows.

use super::convert_weights::Weight;

/// The description of a tensor in a pickle.
pub(super) struct Tensor<'a> {
    /// The type of its storage in PyTorch: "FloatStorage".
    pub storage: &'static str,
    pub shape: &'a [usize],
}

const PROTO: u8 = 0x80;
const GLOBAL: u8 = b'c';
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
const TUPLE_1: u8 = 0x85;
const TUPLE_2: u8 = 0x86;
const EMPTY_DICT: u8 = b'}';
const EMPTY_TUPLE: u8 = b')';
const REDUCE: u8 = b'R';
const PERSISTENT_ID: u8 = b'Q';
const UNICODE: u8 = b'X';
const INT: u8 = b'J';
const LONG: u8 = 0x8a;
const FALSE: u8 = 0x89;
const SET_ITEMS: u8 = b'u';
const STOP: u8 = b'.';

/// Returns the pickle of a dictionary of `weights`, in their order; the values of the n-th are in the record
/// `data/n`.
pub(super) fn state_dict(weights: &[Weight<'_>]) -> Vec<u8> {
    let mut pickle = Pickle(vec![PROTO, 2]);
    pickle.ordered_dict();
    pickle.op(MARK);
    for (key, weight) in weights.iter().enumerate() {
        pickle.string(weight.name);
        let storage = if weight.half { "HalfStorage" } else { "FloatStorage" };
        pickle.tensor(key, &Tensor { storage, shape: &weight.shape });
    }
    pickle.op(SET_ITEMS);
    pickle.op(STOP);
    pickle.0
}

/// Returns the pickle of the arguments `((weight,), {})` of a call; the values of `weight` are in the record `data/0`.
pub(super) fn arguments(weight: &Tensor<'_>) -> Vec<u8> {
    let mut pickle = Pickle(vec![PROTO, 2]);
    pickle.tensor(0, weight);
    pickle.op(TUPLE_1);
    pickle.op(EMPTY_DICT);
    pickle.op(TUPLE_2);
    pickle.op(STOP);
    pickle.0
}

struct Pickle(Vec<u8>);

impl Pickle {
    fn op(&mut self, code: u8) {
        self.0.push(code);
    }

    fn global(&mut self, module: &str, name: &str) {
        self.op(GLOBAL);
        self.0.extend(format!("{module}\n{name}\n").bytes());
    }

    fn string(&mut self, text: &str) {
        self.op(UNICODE);
        // Names of parameters and types have only a few bytes.
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.bytes());
    }

    fn int(&mut self, value: usize) {
        match i32::try_from(value) {
            Ok(value) => {
                self.op(INT);
                self.0.extend(value.to_le_bytes());
            }
            Err(_) => {
                self.op(LONG);
                self.op(8);
                self.0.extend((value as u64).to_le_bytes());
            }
        }
    }

    fn tuple(&mut self, values: impl IntoIterator<Item = usize>) {
        self.op(MARK);
        values.into_iter().for_each(|value| self.int(value));
        self.op(TUPLE);
    }

    /// Appends an empty `OrderedDict`.
    fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.op(EMPTY_TUPLE);
        self.op(REDUCE);
    }

    fn tensor(&mut self, key: usize, tensor: &Tensor<'_>) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.op(MARK);
        self.op(MARK);
        self.string("storage");
        self.global("torch", tensor.storage);
        self.string(&key.to_string());
        self.string("cpu");
        self.int(tensor.shape.iter().product());
        self.op(TUPLE);
        self.op(PERSISTENT_ID);
        self.int(0);
        self.tuple(tensor.shape.iter().copied());
        // Row-major.
        let strides = (1..=tensor.shape.len()).map(|from| tensor.shape[from..].iter().product());
        self.tuple(strides);
        self.op(FALSE);
        self.ordered_dict();
        self.op(TUPLE);
        self.op(REDUCE);
    }
}
