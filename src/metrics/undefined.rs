//! Why a metric has no value.

/// The reason that a metric has no value for some samples, such as "every sample is of class \"cat\"".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Undefined(pub String);
