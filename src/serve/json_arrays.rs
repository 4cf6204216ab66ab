//! Samples as nested JSON lists of numbers: `[[0, 255], …]` or `[0.5, -1.2, …]`, or a list of those.
//!
//! They are parsed directly into one flat list: lists of lists would take many times the memory of the text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// One sample, or a list of samples of one shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonArray<T> {
    /// The shape of the sample, after the number of samples if it is a list.
    pub shape: Vec<usize>,
    /// The numbers in C order.
    pub values: Vec<T>,
}

/// A type of numbers that requests have.
pub trait Number: Sized {
    /// The subject of errors.
    const NAME: &'static str;
    /// What a number must be.
    const RULE: &'static str;

    /// Converts a number; none if it breaks the rule.
    fn of(number: f64) -> Option<Self>;
}

/// A pixel.
impl Number for u8 {
    const NAME: &'static str = "pixels";
    const RULE: &'static str = "a pixel must be an integer from 0 to 255";

    fn of(number: f64) -> Option<Self> {
        (number.fract() == 0.0 && (0.0..256.0).contains(&number)).then_some(number as u8)
    }
}

/// A feature.
impl Number for f32 {
    const NAME: &'static str = "inputs";
    const RULE: &'static str = "a number must fit into f32";

    fn of(number: f64) -> Option<Self> {
        Some(number as f32).filter(|number| number.is_finite())
    }
}

/// Reads an array whose samples have this number of axes.
pub struct ArrayOf<T> {
    axes: usize,
    kind: PhantomData<T>,
}

impl<T> ArrayOf<T> {
    pub fn new(axes: usize) -> Self {
        Self { axes, kind: PhantomData }
    }
}

impl<'de, T: Number> DeserializeSeed<'de> for ArrayOf<T> {
    type Value = JsonArray<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let one = self.axes;
        let mut reader = Reader { deepest: one + 1, sizes: Vec::new(), values: Vec::new() };
        Level { reader: &mut reader, depth: 0 }.deserialize(deserializer)?;
        let found = reader.sizes.len();
        if found < one {
            return Err(depth_error::<T, _>(one, format_args!("{found}")));
        }
        let shape = reader.sizes.iter().map(|size| size.unwrap_or(0)).collect();
        Ok(JsonArray { shape, values: reader.values })
    }
}

fn depth_error<T: Number, E: Error>(one: usize, found: impl fmt::Display) -> E {
    let (what, list) = (T::NAME, one + 1);
    E::custom(format!(
        "{what} must be lists of depth {one} (one sample) or {list} (several), found depth {found}"
    ))
}

/// The values read so far.
struct Reader<T> {
    /// The largest depth: the samples of a list, and their axes.
    deepest: usize,
    /// The length of the lists at each depth, known after the end of the first one.
    sizes: Vec<Option<usize>>,
    values: Vec<T>,
}

/// Reads a list at a depth, or a number.
struct Level<'a, T> {
    reader: &'a mut Reader<T>,
    depth: usize,
}

impl<'de, T: Number> DeserializeSeed<'de> for Level<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Number> Level<'_, T> {
    fn number<E: Error>(self, number: f64, found: impl fmt::Display) -> Result<(), E> {
        let rule = T::RULE;
        let value = T::of(number).ok_or_else(|| E::custom(format!("{rule}, found {found}")))?;
        // All numbers must have the depth of the first one.
        if self.depth != self.reader.sizes.len() {
            return Err(uneven());
        }
        self.reader.values.push(value);
        Ok(())
    }
}

fn uneven<E: Error>() -> E {
    E::custom("all samples and their rows must be lists of the same depth")
}

impl<'de, T: Number> Visitor<'de> for Level<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("numbers in lists")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64, value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64, value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // With an exponent if it is far from 1.
        self.number(value, format_args!("{value:?}"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { reader, depth } = self;
        if depth == reader.deepest {
            return Err(depth_error::<T, _>(reader.deepest - 1, "more"));
        }
        if depth == reader.sizes.len() {
            // Allowed only before the first number; later a list here would be beside numbers.
            if !reader.values.is_empty() {
                return Err(uneven());
            }
            reader.sizes.push(None);
        }
        let mut count = 0;
        while list.next_element_seed(Level { reader, depth: depth + 1 })?.is_some() {
            count += 1;
        }
        match reader.sizes[depth] {
            None => reader.sizes[depth] = Some(count),
            Some(first) if first == count => {}
            Some(first) => {
                return Err(A::Error::custom(format!(
                    "all samples and their rows must have the same size, found {count} after {first}"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Number>(axes: usize, text: &str) -> serde_json::Result<JsonArray<T>> {
        ArrayOf::new(axes).deserialize(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn images_and_lists_of_them_are_read() {
        let image = read::<u8>(2, "[[0, 1, 2], [3, 4, 255]]").unwrap();
        assert_eq!((&image.shape[..], &image.values[..]), (&[2, 3][..], &[0, 1, 2, 3, 4, 255][..]));
        let images = read::<u8>(2, "[[[1.0], [2]], [[3], [4]]]").unwrap();
        assert_eq!((&images.shape[..], &images.values[..]), (&[2, 2, 1][..], &[1, 2, 3, 4][..]));
    }

    #[test]
    fn samples_of_numbers_are_read() {
        let one = read::<f32>(1, "[0.5, -3, 1e2]").unwrap();
        assert_eq!((&one.shape[..], &one.values[..]), (&[3][..], &[0.5, -3.0, 100.0][..]));
        let list = read::<f32>(1, "[[0.5], [18446744073709551615]]").unwrap();
        assert_eq!((&list.shape[..], &list.values[..]), (&[2, 1][..], &[0.5, 2f32.powi(64)][..]));
        assert_eq!(read::<f32>(3, "[[[1, 2]], [[3, 4]]]").unwrap().shape, [2, 1, 2]);
        for text in ["[1e39]", "[null]", "[true]", "[\"1\"]", "1", "[[[1]]]", "[[1], [2, 3]]", "{}"]
        {
            assert!(read::<f32>(1, text).is_err(), "{text}");
        }
    }

    #[test]
    fn malformed_pixels_are_errors() {
        for text in [
            "1",
            "[]",
            "[1]",
            "[[1, 2], [3]]",
            "[[1], 2]",
            "[1, [2]]",
            "[[256]]",
            "[[-1]]",
            "[[0.5]]",
            "[[null]]",
            "[[\"1\"]]",
            "[[[[1]]]]",
            "[[[1]], [2]]",
            "[[], [[1]]]",
            "[[[1], [2]], [[3]]]",
            "{}",
            "[[1e300]]",
            "[[[]], [1]]",
        ] {
            let read = read::<u8>(2, text);
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }
}
