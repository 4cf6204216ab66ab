//! The features of samples: pixels or numbers of any shape.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of a data set's features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureKind {
    /// u8 pixels, which a network gets scaled to [0, 1].
    #[default]
    Pixels,
    /// Numbers, which a network gets as they are.
    Floats,
}

impl fmt::Display for FeatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pixels => "pixels",
            Self::Floats => "numbers",
        })
    }
}

impl FeatureKind {
    /// Returns whether this is the default, which is not saved.
    pub fn is_pixels(&self) -> bool {
        *self == Self::Pixels
    }
}

/// The features of a data set, one sample after the other.
///
/// ```
/// use seqfit::data::Features;
///
/// let houses = Features::floats([3.2, 41.0, 1.5, 20.0], [2]); // two samples of two numbers
/// let pictures = Features::pixels(vec![0; 3 * 28 * 28], [28, 28]); // three gray pictures
/// let colors = Features::pixels(vec![0; 2 * 3 * 32 * 32], [3, 32, 32]); // two in color
/// # let _ = (houses, pictures, colors);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    pub(super) values: Values,
    /// The shape of one sample.
    pub(super) shape: Vec<usize>,
}

/// The values of all samples, each sample in C order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Pixels(Vec<u8>),
    Floats(Vec<f32>),
}

/// The features of one sample, in C order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sample<'a> {
    /// Pixels, which a network gets scaled to [0, 1].
    Pixels(&'a [u8]),
    /// Numbers, which a network gets as they are.
    Floats(&'a [f32]),
}

impl Features {
    /// Returns samples of u8 pixels: of gray pictures the shape is \[height, width\], of pictures in
    /// color \[channels, height, width\]. A network gets them scaled to [0, 1].
    pub fn pixels(values: impl Into<Vec<u8>>, shape: impl Into<Vec<usize>>) -> Self {
        Self { values: Values::Pixels(values.into()), shape: shape.into() }
    }

    /// Returns samples of numbers, of any shape. A network gets them as they are; all must be finite.
    pub fn floats(values: impl Into<Vec<f32>>, shape: impl Into<Vec<usize>>) -> Self {
        Self { values: Values::Floats(values.into()), shape: shape.into() }
    }

    /// Returns the shape of one sample.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns whether these are pixels or numbers.
    pub fn kind(&self) -> FeatureKind {
        match self.values {
            Values::Pixels(_) => FeatureKind::Pixels,
            Values::Floats(_) => FeatureKind::Floats,
        }
    }

    /// Returns the number of samples; of values that do not fill whole samples, that of the whole ones.
    pub fn len(&self) -> usize {
        self.values.len() / self.sample_len().max(1)
    }

    /// Returns whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends samples of the same kind and shape.
    #[cfg(feature = "serve")]
    pub(crate) fn append(&mut self, other: &Self) {
        debug_assert_eq!(self.shape, other.shape);
        match (&mut self.values, &other.values) {
            (Values::Pixels(all), Values::Pixels(more)) => all.extend(more),
            (Values::Floats(all), Values::Floats(more)) => all.extend(more),
            _ => debug_assert!(false, "pixels and numbers"),
        }
    }

    /// Returns the pixels of all samples; none if these are numbers.
    pub fn as_pixels(&self) -> Option<&[u8]> {
        match &self.values {
            Values::Pixels(pixels) => Some(pixels),
            Values::Floats(_) => None,
        }
    }

    /// Returns the number of values of a sample.
    pub(super) fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Values {
    pub fn len(&self) -> usize {
        match self {
            Self::Pixels(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }
}
