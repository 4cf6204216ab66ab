//! What pooling computes.

/// The function of the values in a window: mean or maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolingFunction {
    Max,
    Average,
}
