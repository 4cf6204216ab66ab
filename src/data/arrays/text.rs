//! Text in NumPy's arrays: the names of classes.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::formats::Order;

/// Strings in an array, each of the same number of bytes: padded with zeros.
#[derive(Debug, PartialEq)]
pub(in crate::data) struct Text {
    /// NumPy's name of the type: `<U7`.
    pub descr: String,
    bytes: Vec<u8>,
    /// Bytes of a string.
    size: usize,
    order: Order,
}

/// More different strings than these are not looked for: a data set has at most 256 classes.
const MOST: usize = 256;

/// Returns the bytes of a string of NumPy's type: `U7` is 7 characters of UTF-32, `S7` 7 bytes.
pub(super) fn size(kind: &str) -> Option<usize> {
    let (unit, length) = match kind.split_at_checked(1)? {
        ("U", length) => (4, length),
        ("S", length) => (1, length),
        _ => return None,
    };
    // Arrays of empty strings have any number of them in no bytes.
    let length = length.parse::<usize>().ok().filter(|&length| length > 0)?;
    length.checked_mul(unit)
}

impl Text {
    /// Takes the bytes of strings of `size` bytes each.
    pub fn new(descr: String, bytes: Vec<u8>, size: usize, order: Order) -> Self {
        Self { descr, bytes, size, order }
    }

    /// Returns the number of strings.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    fn raw(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks_exact(self.size)
    }

    /// Returns a string, if it is Unicode.
    fn decode(&self, raw: &[u8]) -> Option<String> {
        if self.descr.contains('S') {
            return String::from_utf8(raw.to_vec()).ok().map(without_zeros);
        }
        let character = |unit: &[u8; 4]| {
            let code = match self.order {
                Order::Little => u32::from_le_bytes(*unit),
                Order::Big => u32::from_be_bytes(*unit),
            };
            char::from_u32(code)
        };
        raw.as_chunks().0.iter().map(character).collect::<Option<String>>().map(without_zeros)
    }

    /// Returns string `at`, for a message.
    pub fn shown(&self, at: usize) -> String {
        let string = self.raw().nth(at).and_then(|raw| self.decode(raw));
        string.map_or_else(|| "no Unicode".to_owned(), |string| format!("{string:?}"))
    }

    /// Returns all strings in their order.
    ///
    /// # Errors
    /// The position of one that is not Unicode.
    pub fn strings(&self) -> Result<Vec<String>, usize> {
        self.raw().enumerate().map(|(at, raw)| self.decode(raw).ok_or(at)).collect()
    }

    /// Returns the different strings, sorted by code points as by `numpy.unique`; of very many the first ones.
    ///
    /// # Errors
    /// The position of one that is not Unicode.
    pub fn distinct(&self) -> Result<BTreeSet<String>, usize> {
        let (mut seen, mut strings) = (HashSet::new(), BTreeSet::new());
        for (at, raw) in self.raw().enumerate() {
            if strings.len() > MOST {
                break;
            }
            if seen.insert(raw) {
                strings.insert(self.decode(raw).ok_or(at)?);
            }
        }
        Ok(strings)
    }

    /// Returns the index of each string in `names`.
    ///
    /// # Errors
    /// The position of the first that is not among them.
    pub fn indices(&self, names: &[String]) -> Result<Vec<u8>, usize> {
        let mut known: HashMap<&[u8], u8> = HashMap::new();
        let mut index = |(at, raw)| {
            if let Some(&index) = known.get(raw) {
                return Ok(index);
            }
            let string = self.decode(raw).ok_or(at)?;
            let found = names.iter().position(|name| *name == string).map(u8::try_from);
            let index = found.and_then(Result::ok).ok_or(at)?;
            known.insert(raw, index);
            Ok(index)
        };
        self.raw().enumerate().map(&mut index).collect()
    }
}

fn without_zeros(mut text: String) -> String {
    text.truncate(text.trim_end_matches('\0').len());
    text
}
