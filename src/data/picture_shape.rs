//! The shapes of samples that are pictures: gray or in color.

use std::fmt;

/// The shape of a picture as a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureShape {
    /// Whether it has three channels, red, green and blue, and not one.
    pub color: bool,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl PictureShape {
    /// Returns the picture that samples of this shape are: \[height, width\] and \[1, height, width\] are gray, and
    /// \[3, height, width\] is in color. None for all others.
    pub fn of(shape: &[usize]) -> Option<Self> {
        let (color, height, width) = match *shape {
            [height, width] | [1, height, width] => (false, height, width),
            [3, height, width] => (true, height, width),
            _ => return None,
        };
        Some(Self { color, height, width })
    }

    /// Returns \[height, width\].
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Returns the number of channels.
    pub fn channels(&self) -> usize {
        if self.color { 3 } else { 1 }
    }

    /// Returns the number of pixel values; the largest number there is if it is larger.
    pub fn values(&self) -> usize {
        self.channels().saturating_mul(self.height).saturating_mul(self.width)
    }

    /// Returns the shape of a sample: \[height, width\], or \[3, height, width\].
    pub fn sample_shape(&self) -> Vec<usize> {
        let channels = self.color.then_some(3);
        channels.into_iter().chain(self.size()).collect()
    }
}

impl fmt::Display for PictureShape {
    /// Writes `28x28`, or `32x32 in color`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}{}", self.height, self.width, if self.color { " in color" } else { "" })
    }
}

impl From<[usize; 2]> for PictureShape {
    /// Returns a gray picture of \[height, width\].
    fn from([height, width]: [usize; 2]) -> Self {
        Self { color: false, height, width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_three_channels_are_pictures() {
        for shape in [&[4, 5][..], &[3, 4, 5]] {
            assert_eq!(PictureShape::of(shape).unwrap().sample_shape(), shape);
        }
        assert_eq!(PictureShape::of(&[1, 4, 5]), Some([4, 5].into()));
        assert_eq!(PictureShape::of(&[3, 4, 5]).unwrap().values(), 60);
        for shape in [&[784][..], &[2, 4, 5], &[4, 5, 3], &[2, 3, 4, 5]] {
            assert_eq!(PictureShape::of(shape), None, "{shape:?}");
        }
    }
}
