//! Convolution and pooling on the CPU: the layers of a network on pictures, before its Dense layers.
//!
//! Pictures are [height, width, channels] here, so that the values under a row of a filter are contiguous, and
//! channels are whole vectors. A thread takes a sample through all layers before the next one, so that its values are
//! in the cache; layers that need the whole batch, such as BatchNormalization, divide the pass into parts. Samples are
//! taken in groups, each with its own sums of gradients, which are added in the order of the groups.

mod block;
mod convolution;
mod depthwise;
mod elementwise;
mod normalization;
mod passes;
mod picture_layer;
mod picture_loops;
mod pooling;
mod stack;
mod zero_padding;

pub use passes::Pictures;
pub use stack::PictureStack;
