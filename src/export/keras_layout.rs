//! How Keras stores a variable: its axes, in the order of Keras.

/// How Keras stores a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KerasLayout {
    /// The sizes of its axes here.
    sizes: Vec<usize>,
    /// The axes in the order of Keras.
    order: Vec<usize>,
}

impl KerasLayout {
    /// Returns the layout of a variable of this shape here: a matrix is transposed, and the weights of a convolution,
    /// [filters, channels, height, width], are [height, width, channels, filters]. For `filters` above 0 they are those
    /// of this number of filters of each channel: [channels · filters, 1, height, width] here.
    pub fn of(shape: &[usize], filters: usize) -> Self {
        match *shape {
            [all, 1, height, width] if filters > 0 => {
                let sizes = vec![all / filters, filters, height, width];
                Self { sizes, order: vec![2, 3, 0, 1] }
            }
            [_, _, _, _] => Self { sizes: shape.to_vec(), order: vec![2, 3, 1, 0] },
            [_, _] => Self { sizes: shape.to_vec(), order: vec![1, 0] },
            _ => Self { sizes: shape.to_vec(), order: (0..shape.len()).collect() },
        }
    }

    /// Returns the shape in Keras.
    pub fn shape(&self) -> Vec<usize> {
        self.order.iter().map(|&axis| self.sizes[axis]).collect()
    }

    /// Returns the sizes of its axes here, and their order in Keras.
    #[cfg(feature = "keras")]
    pub fn axes(&self) -> [Vec<i64>; 2] {
        [&self.sizes, &self.order].map(|list| list.iter().map(|&number| number as i64).collect())
    }

    /// Returns where the values are that Keras stores, in the order here.
    pub fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (shape, mut strides) = (self.shape(), vec![0; self.sizes.len()]);
        for (place, &axis) in self.order.iter().enumerate() {
            strides[axis] = shape[place + 1..].iter().product();
        }
        let sizes = self.sizes.clone();
        let count: usize = sizes.iter().product();
        (0..count).map(move |number| {
            let (mut rest, mut place) = (number, 0);
            for (size, stride) in sizes.iter().zip(&strides).rev() {
                place += rest % size * stride;
                rest /= size;
            }
            place
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_stored_with_their_filters_last() {
        let layout = KerasLayout::of(&[2, 3], 0);
        assert_eq!(
            (layout.shape(), layout.places().collect()),
            (vec![3, 2], vec![0, 2, 4, 1, 3, 5])
        );
        let layout = KerasLayout::of(&[2, 3, 1, 2], 0);
        assert_eq!(layout.shape(), [1, 2, 3, 2]);
        // [height 0, width, channel, filter]: 6 width + 2 channel + filter.
        assert_eq!(layout.places().collect::<Vec<_>>(), [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
        // [height 0, width, channel, filter]: 6 width + 2 channel + filter.
        let layout = KerasLayout::of(&[6, 1, 1, 2], 2);
        assert_eq!(layout.shape(), [1, 2, 3, 2]);
        assert_eq!(layout.places().collect::<Vec<_>>(), [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
        assert_eq!(KerasLayout::of(&[3], 0).places().collect::<Vec<_>>(), [0, 1, 2]);
    }
}
