//! The meanings of names in TorchScript's code.

use super::pickle::Id;

/// The meaning of a name in the code.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// The output of the first layers, by their number.
    Value(usize),
    /// A module with its path: "net.0".
    Module(Id, String),
    Tensor(String),
    None,
    Number(f64),
    Bool(bool),
    Text(String),
    List(Vec<Item>),
    Function(String),
    /// A setting that does not affect any layer's output.
    Other,
}
