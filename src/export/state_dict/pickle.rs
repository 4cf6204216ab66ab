//! The pickle inside a `state_dict` file: an `OrderedDict` of tensors and nothing else.
//!
//! Protocol 2, as `torch.save` writes it (opcodes: CPython's `Lib/pickletools.py`). A tensor is
//! `torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks)`, and a
//! storage the persistent id `('storage', type, key, device, count)`: exactly what `weights_only=True`
//! allows.

use crate::export::convert_weights::Weight;

const PROTO: u8 = 0x80;
const GLOBAL: u8 = b'c';
const MARK: u8 = b'(';
const TUPLE: u8 = b't';
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
        pickle.tensor(key, weight);
    }
    pickle.op(SET_ITEMS);
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

    fn tensor(&mut self, key: usize, weight: &Weight<'_>) {
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.op(MARK);
        self.op(MARK);
        self.string("storage");
        self.global("torch", if weight.half { "HalfStorage" } else { "FloatStorage" });
        self.string(&key.to_string());
        self.string("cpu");
        self.int(weight.count());
        self.op(TUPLE);
        self.op(PERSISTENT_ID);
        self.int(0);
        self.tuple(weight.shape.iter().copied());
        // Row-major.
        let strides = (1..=weight.shape.len()).map(|from| weight.shape[from..].iter().product());
        self.tuple(strides);
        self.op(FALSE);
        self.ordered_dict();
        self.op(TUPLE);
        self.op(REDUCE);
    }
}
