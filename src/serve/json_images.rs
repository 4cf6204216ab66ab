//! Images as nested JSON lists of numbers: `[[0, 255], …]`, or a list of those.
//!
//! They are parsed directly into one flat list: lists of lists would take many times the memory of the text.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// One image, or a list of images of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pixels {
    /// [height, width], or [images, height, width].
    pub shape: Vec<usize>,
    /// The pixels row by row.
    pub values: Vec<u8>,
}

impl<'de> Deserialize<'de> for Pixels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut reader = Reader::default();
        Level { reader: &mut reader, depth: 0 }.deserialize(deserializer)?;
        let found = reader.sizes.len();
        if !(2..=DEEPEST).contains(&found) {
            return Err(D::Error::custom(format!(
                "pixels must be a list of rows or a list of images, found a list of depth {found}"
            )));
        }
        let shape = reader.sizes.iter().map(|size| size.unwrap_or(0)).collect();
        Ok(Self { shape, values: reader.values })
    }
}

/// The largest depth: images, rows, pixels.
const DEEPEST: usize = 3;

/// The values read so far.
#[derive(Default)]
struct Reader {
    /// The length of the lists at each depth, known after the end of the first one.
    sizes: Vec<Option<usize>>,
    values: Vec<u8>,
}

/// Reads a list at a depth, or a pixel.
struct Level<'a> {
    reader: &'a mut Reader,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level<'_> {
    fn pixel<E: Error>(self, value: u64) -> Result<(), E> {
        let byte = u8::try_from(value).map_err(|_| beyond(value))?;
        // All pixels must have the depth of the first one.
        if self.depth != self.reader.sizes.len() {
            return Err(E::custom("all rows and images must be lists of the same depth"));
        }
        self.reader.values.push(byte);
        Ok(())
    }
}

fn beyond<E: Error>(found: impl fmt::Display) -> E {
    E::custom(format!("a pixel must be an integer from 0 to 255, found {found}"))
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("pixels from 0 to 255 in rows")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.pixel(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        Err(beyond(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match value.fract() == 0.0 && (0.0..256.0).contains(&value) {
            true => self.pixel(value as u64),
            false => Err(beyond(value)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { reader, depth } = self;
        if depth == DEEPEST {
            return Err(A::Error::custom(
                "pixels must be lists of depth 2 or 3, found a deeper one",
            ));
        }
        if depth == reader.sizes.len() {
            // Allowed only before the first pixel; later a list here would be beside pixels.
            if !reader.values.is_empty() {
                return Err(A::Error::custom(
                    "all rows and images must be lists of the same depth",
                ));
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
                    "all rows and images must have the same size, found {count} after {first}"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_lists_of_them_are_read() {
        let read = |text: &str| serde_json::from_str::<Pixels>(text).unwrap();
        let image = read("[[0, 1, 2], [3, 4, 255]]");
        assert_eq!((&image.shape[..], &image.values[..]), (&[2, 3][..], &[0, 1, 2, 3, 4, 255][..]));
        let images = read("[[[1.0], [2]], [[3], [4]]]");
        assert_eq!((&images.shape[..], &images.values[..]), (&[2, 2, 1][..], &[1, 2, 3, 4][..]));
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
            let read = serde_json::from_str::<Pixels>(text);
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }
}
