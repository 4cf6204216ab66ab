//! Views of `ndarray` as features and targets; with the cargo feature `ndarray`.
//!
//! The first axis is that of the samples. Any layout in memory will do: values are taken in their logical order.
//!
//! ```
//! use ndarray::array;
//! use seqfit::data::{Dataset, Target};
//!
//! let rooms_and_age = array![[6.9f32, 41.0], [6.2, 21.0], [8.2, 52.0]];
//! let price = array![4.5f32, 3.6, 3.5];
//! let houses = Dataset::from_arrays(rooms_and_age.view(), price.view())?;
//! assert_eq!((houses.len(), houses.target(2)), (3, Target::Numbers(&[3.5])));
//! # Ok::<(), seqfit::data::DataError>(())
//! ```

use ndarray::{ArrayView, ArrayView1, ArrayView2, Dimension};

use super::features::Features;
use super::targets::{Targets, column_names};

/// `[samples, …]`: pixels, like [`Features::pixels`].
impl<D: Dimension> From<ArrayView<'_, u8, D>> for Features {
    fn from(view: ArrayView<'_, u8, D>) -> Self {
        let shape = sample_shape(view.shape());
        Self::pixels(view.iter().copied().collect::<Vec<_>>(), shape)
    }
}

/// `[samples, …]`: numbers, like [`Features::floats`].
impl<D: Dimension> From<ArrayView<'_, f32, D>> for Features {
    fn from(view: ArrayView<'_, f32, D>) -> Self {
        let shape = sample_shape(view.shape());
        Self::floats(view.iter().copied().collect::<Vec<_>>(), shape)
    }
}

/// A vector has one number for each sample.
fn sample_shape(shape: &[usize]) -> Vec<usize> {
    match shape {
        [_] => vec![1],
        shape => shape.iter().skip(1).copied().collect(),
    }
}

/// `[samples]`: classes, named by their numbers.
impl From<ArrayView1<'_, u8>> for Targets {
    fn from(view: ArrayView1<'_, u8>) -> Self {
        let most = view.iter().max().copied().unwrap_or_default();
        let names = (0..=most).map(|class| class.to_string());
        Self::classes(view.iter().copied().collect::<Vec<_>>(), names)
    }
}

/// `[samples, labels]`: several labels.
impl From<ArrayView2<'_, bool>> for Targets {
    fn from(view: ArrayView2<'_, bool>) -> Self {
        let values: Vec<u8> = view.iter().map(|&label| label.into()).collect();
        Self::labels(values, column_names("label", view.ncols()))
    }
}

/// `[samples]`: a number for each sample.
impl From<ArrayView1<'_, f32>> for Targets {
    fn from(view: ArrayView1<'_, f32>) -> Self {
        Self::numbers(view.iter().copied().collect::<Vec<_>>(), column_names("target", 1))
    }
}

/// `[samples, numbers]`: several numbers for each sample.
impl From<ArrayView2<'_, f32>> for Targets {
    fn from(view: ArrayView2<'_, f32>) -> Self {
        let names = column_names("target", view.ncols());
        Self::numbers(view.iter().copied().collect::<Vec<_>>(), names)
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Dataset, Sample, Target};
    use ndarray::{Array, array};

    #[test]
    fn views_are_read_in_their_logical_order() {
        // numpy.arange(12).reshape(2, 3, 2).transpose(1, 0, 2)
        let all =
            Array::from_iter((0..12).map(|i| i as f32)).into_shape_with_order((2, 3, 2)).unwrap();
        let view = all.view().permuted_axes([1, 0, 2]);
        let labels = array![[true, false], [false, false], [true, true]];
        let data = Dataset::from_arrays(view, labels.view()).unwrap();
        assert_eq!(data.sample_shape(), [2, 2]);
        assert_eq!(data.sample(1), Sample::Floats(&[2.0, 3.0, 8.0, 9.0]));
        assert_eq!(data.target(2), Target::Labels(&[1, 1]));
        let pixels = array![[[0u8, 255]], [[7, 8]]];
        let data = Dataset::from_arrays(pixels.view(), array![1u8, 0].view()).unwrap();
        assert_eq!((data.image(1), data.label(0), data.classes().len()), (&[7, 8][..], 1, 2));
        let vector = Dataset::from_arrays(array![0.5f32, 1.0].view(), array![[1f32], [2.0]].view());
        assert_eq!(vector.unwrap().sample_shape(), [1]);
        assert!(Dataset::from_arrays(array![1f32].view(), array![1f32, 2.0].view()).is_err());
    }
}
