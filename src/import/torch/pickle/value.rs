//! The values of a pickle, which refer to each other by index.

/// The index of a value in [`Pickle::values`](super::Pickle::values).
pub(in crate::import::torch) type Id = u32;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::import::torch) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number of more than 64 bits.
    BigInt,
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Tuple(Vec<Id>),
    /// A list or a set.
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name: its module and its name there.
    Global(&'a str, &'a str),
    /// Something stored outside the pickle, described by a value.
    Outside(Id),
    /// A call that was not made: of a name, with a tuple.
    Call {
        of: Id,
        arguments: Id,
        state: Option<Id>,
    },
}
