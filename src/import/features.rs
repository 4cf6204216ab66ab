//! The kind of samples that an imported network takes, where its file does not say: pixels or numbers.

use crate::data::FeatureKind;

/// Returns pixels for the shape of an image: two axes, or three of which the first or the last is 1, 3 or 4 channels.
/// Samples of any other shape, such as a vector, are numbers.
pub(super) fn of_shape(shape: &[usize]) -> FeatureKind {
    match shape {
        [_, _] | [1 | 3 | 4, _, _] | [_, _, 1 | 3 | 4] => FeatureKind::Pixels,
        _ => FeatureKind::Floats,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shapes_of_images_are_pixels() {
        for shape in [&[28, 28][..], &[1, 28, 28], &[3, 32, 32], &[32, 32, 3]] {
            assert_eq!(of_shape(shape), FeatureKind::Pixels, "{shape:?}");
        }
        for shape in [&[8][..], &[784], &[2, 5, 7], &[1, 2, 3, 4]] {
            assert_eq!(of_shape(shape), FeatureKind::Floats, "{shape:?}");
        }
    }
}
