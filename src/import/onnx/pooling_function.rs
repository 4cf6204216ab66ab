//! What pooling computes.

/// What is computed of the values in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PoolingFunction {
    Max,
    Average,
}
