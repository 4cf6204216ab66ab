//! The two ends of a residual block: where its input is kept, and where it is added to the block's output.

use super::picture_layer::{Backward, Forward, PictureLayer, PictureShape};
use super::picture_loops;

/// The input of a block. A layer of its own, so that none before the block takes over a layer of the block, which would
/// change what is added.
#[derive(Debug)]
pub struct BlockInput {
    pub shape: PictureShape,
}

impl PictureLayer for BlockInput {
    fn output(&self) -> PictureShape {
        self.shape
    }

    fn forward(&self, sample: Forward) {
        sample.y.copy_from_slice(sample.x);
    }

    fn backward(&self, sample: Backward) {
        let Some(dx) = sample.dx else { return };
        dx.copy_from_slice(sample.dy);
        picture_loops::add(dx, sample.other_end);
    }
}

/// The sum of the input and the output of a block.
#[derive(Debug)]
pub struct BlockOutput {
    pub shape: PictureShape,
}

impl PictureLayer for BlockOutput {
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
    }
}
