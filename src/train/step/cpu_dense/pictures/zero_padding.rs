//! Zeros around one picture.

use super::picture_layer::{Backward, Forward, PictureLayer, PictureShape};

/// Zeros around a picture.
#[derive(Debug)]
pub struct PictureZeroPadding {
    pub input: PictureShape,
    /// The numbers of rows above and below, and of columns on the left and right.
    pub sides: [[usize; 2]; 2],
}

impl PictureZeroPadding {
    /// Calls `each` with each row of the input: its first value there and in the output, and the number of its values.
    fn for_rows(&self, mut each: impl FnMut(usize, usize, usize)) {
        let (padded, [[top, _], [left, _]]) = (self.input.padded(), self.sides);
        let (from, to) = (self.input.width, self.output().width);
        for row in 0..self.input.height {
            each(row * from * padded, ((row + top) * to + left) * padded, from * padded);
        }
    }
}

impl PictureLayer for PictureZeroPadding {
    fn output(&self) -> PictureShape {
        let PictureShape { channels, height, width } = self.input;
        let [rows, columns] = self.sides.map(|[before, after]| before + after);
        PictureShape { channels, height: height + rows, width: width + columns }
    }

    fn forward(&self, sample: Forward) {
        let Forward { x, y, .. } = sample;
        y.fill(0.0);
        self.for_rows(|from, to, count| y[to..to + count].copy_from_slice(&x[from..from + count]));
    }

    fn backward(&self, sample: Backward) {
        let (Some(dx), dy) = (sample.dx, sample.dy) else { return };
        self.for_rows(|to, from, count| {
            dx[to..to + count].copy_from_slice(&dy[from..from + count])
        });
    }
}
