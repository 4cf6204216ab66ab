//! The two ends of a residual block: the input, which is kept, and the sum of it and the block's output.

use super::picture_layer::{Backward, Forward, PictureLayer, PictureShape};
use super::picture_loops;

/// An end of a block. The beginning is a layer of its own, too, so that none before the block takes over a layer of the
/// block, which would change what is added. The added values come from the other end: at the end of the block its input, in the
/// backward pass at its beginning the gradient of its output, and else nothing.
#[derive(Debug)]
pub struct BlockEnd {
    pub shape: PictureShape,
}

impl PictureLayer for BlockEnd {
    fn output(&self) -> PictureShape {
        self.shape
    }

    fn forward(&self, sample: Forward) {
        sample.y.copy_from_slice(sample.x);
        picture_loops::add(sample.y, sample.other_end);
    }

    fn backward(&self, sample: Backward) {
        let Some(dx) = sample.dx else { return };
        dx.copy_from_slice(sample.dy);
        picture_loops::add(dx, sample.other_end);
    }
}
