//! NumPy's arrays as numbers of few types, in C order, or as text.

use super::problem::ArraysProblem;
use super::text::{self, Text};
use crate::formats::npy::{Header, by_rows};
use crate::formats::{FormatProblem, MemoryBudget, count, extend};
use crate::message_text::number;

/// An array of numbers, in C order.
#[derive(Debug, PartialEq)]
pub(in crate::data) struct Array {
    pub numbers: Numbers,
    pub shape: Vec<usize>,
}

#[derive(Debug, PartialEq)]
pub(in crate::data) enum Numbers {
    U8(Vec<u8>),
    /// 0 or 1.
    Bool(Vec<u8>),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    /// No numbers, which only the names of classes may be.
    Text(Text),
}

/// Reads the bytes of a `.npy` file or record: f64 are rounded to f32.
pub(in crate::data) fn array(
    key: &str,
    bytes: Vec<u8>,
    budget: &mut MemoryBudget,
) -> Result<Array, ArraysProblem> {
    let header = Header::read(&bytes);
    let (header, data) =
        header.map_err(|rule| ArraysProblem::Header { key: key.to_owned(), rule })?;
    let start = bytes.len() - data.len();
    decode(key, header, bytes, start, budget)
}

/// Reads the numbers in `bytes` from `start` on, which a header describes: f64 are rounded to f32.
pub(in crate::data) fn decode(
    key: &str,
    Header { descr, order, fortran, shape }: Header,
    mut bytes: Vec<u8>,
    start: usize,
    budget: &mut MemoryBudget,
) -> Result<Array, ArraysProblem> {
    let own = || key.to_owned();
    let data = &bytes[start..];
    let kind = descr.strip_prefix(['<', '>', '|', '=']).unwrap_or_default();
    let Some(size) = size(kind).or_else(|| text::size(kind)) else {
        return Err(ArraysProblem::Type { key: own(), found: descr, may_name: true });
    };
    let numbers = count(&shape).unwrap_or(usize::MAX);
    if numbers.checked_mul(size) != Some(data.len()) {
        let found = data.len();
        return Err(ArraysProblem::Length { key: own(), numbers, size, found });
    }
    if text::size(kind).is_some() {
        bytes.drain(..start);
        return Ok(Array { numbers: Numbers::Text(Text::new(descr, bytes, size, order)), shape });
    }
    let value = |rule, at: usize, found: String, cure| {
        let place = place(at, &shape, fortran);
        Err(ArraysProblem::Value { key: own(), rule, found, place, cure })
    };
    let (mut ints, mut floats) = (Vec::new(), Vec::new());
    match kind {
        "b1" | "u1" => {}
        "f2" | "f4" | "f8" => floats = budget.list(numbers)?,
        _ => ints = budget.list(numbers)?,
    }
    match kind {
        "i1" => extend(&mut ints, data, order, |b| i8::from_le_bytes(b).into()),
        "i2" => extend(&mut ints, data, order, |b| i16::from_le_bytes(b).into()),
        "u2" => extend(&mut ints, data, order, |b| u16::from_le_bytes(b).into()),
        "i4" => extend(&mut ints, data, order, |b| i32::from_le_bytes(b).into()),
        "u4" => extend(&mut ints, data, order, |b| u32::from_le_bytes(b).into()),
        "i8" => extend(&mut ints, data, order, i64::from_le_bytes),
        "u8" => {
            extend(&mut ints, data, order, i64::from_le_bytes);
            if let Some(at) = ints.iter().position(|&int| int < 0) {
                let (rule, found) = ("integers must be below 2^63", (ints[at] as u64).to_string());
                return value(rule, at, found, "correct it, or save array.astype(\"float32\")");
            }
        }
        "f2" => extend(&mut floats, data, order, |b| half::f16::from_le_bytes(b).to_f32()),
        "f4" => extend(&mut floats, data, order, f32::from_le_bytes),
        "f8" => {
            extend(&mut floats, data, order, |b| f64::from_le_bytes(b) as f32);
            let mut exact: Vec<f64> = Vec::new();
            for (at, _) in floats.iter().enumerate().filter(|(_, value)| value.is_infinite()) {
                exact.clear();
                extend(&mut exact, &data[8 * at..][..8], order, f64::from_le_bytes);
                if let Some(found) = exact.first().filter(|value| value.is_finite()) {
                    let cure = "correct it, or save the array divided by a power of 10";
                    return value("numbers must fit into f32", at, number(*found), cure);
                }
            }
        }
        "b1" => {
            if let Some(at) = data.iter().position(|&byte| byte > 1) {
                let cure = "save array.astype(bool)";
                return value("bool is 0 or 1", at, data[at].to_string(), cure);
            }
        }
        _ => {}
    }
    let numbers = match kind {
        "b1" | "u1" => {
            bytes.drain(..start);
            let bytes = in_c_order(bytes, fortran, &shape, budget)?;
            if kind == "b1" { Numbers::Bool(bytes) } else { Numbers::U8(bytes) }
        }
        "f2" | "f4" | "f8" => Numbers::Floats(in_c_order(floats, fortran, &shape, budget)?),
        _ => Numbers::Ints(in_c_order(ints, fortran, &shape, budget)?),
    };
    Ok(Array { numbers, shape })
}

/// Returns the bytes of a number of NumPy's type.
fn size(kind: &str) -> Option<usize> {
    match kind {
        "b1" | "u1" | "i1" => Some(1),
        "u2" | "i2" | "f2" => Some(2),
        "u4" | "i4" | "f4" => Some(4),
        "u8" | "i8" | "f8" => Some(8),
        _ => None,
    }
}

fn in_c_order<T: Copy>(
    values: Vec<T>,
    fortran: bool,
    shape: &[usize],
    budget: &mut MemoryBudget,
) -> Result<Vec<T>, FormatProblem> {
    if fortran && shape.len() > 1 { by_rows(&values, shape, budget) } else { Ok(values) }
}

/// Returns the index along each axis of the number at `position` in the file.
pub(super) fn place(position: usize, shape: &[usize], fortran: bool) -> Vec<usize> {
    let mut rest = position;
    let mut index = |&size: &usize| {
        let index = rest % size.max(1);
        rest /= size.max(1);
        index
    };
    if fortran {
        return shape.iter().map(index).collect();
    }
    let mut place: Vec<usize> = shape.iter().rev().map(&mut index).collect();
    place.reverse();
    place
}

impl Numbers {
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) | Self::Bool(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Text(text) => text.len(),
        }
    }

    /// Returns the numbers as f32, integers rounded to the nearest.
    pub fn into_floats(self, budget: &mut MemoryBudget) -> Result<Vec<f32>, FormatProblem> {
        let mut floats = budget.list(self.len())?;
        match self {
            Self::Floats(values) => return Ok(values),
            Self::U8(values) | Self::Bool(values) => {
                floats.extend(values.into_iter().map(f32::from));
            }
            Self::Ints(values) => floats.extend(values.into_iter().map(|int| int as f32)),
            Self::Text(text) => {
                let message = format!("text ({}) as numbers: save numbers", text.descr);
                return Err(FormatProblem::Unsupported { format: "NumPy", message });
            }
        }
        Ok(floats)
    }

    /// Returns the numbers as u8 up to `most`; of the first that is not a whole number from 0 to that its position,
    /// and the number.
    pub fn into_bytes(self, most: u8) -> Result<Vec<u8>, (usize, String)> {
        let bytes: Vec<Option<u8>> = match &self {
            Self::U8(values) | Self::Bool(values) => {
                values.iter().map(|&value| Some(value)).collect()
            }
            Self::Ints(values) => values.iter().map(|&value| u8::try_from(value).ok()).collect(),
            // Saturating, and NaN becomes 0: neither is equal to the float.
            Self::Floats(values) => values
                .iter()
                .map(|&value| Some(value as u8).filter(|&byte| f32::from(byte) == value))
                .collect(),
            Self::Text(text) => vec![None; text.len()],
        };
        match bytes.iter().position(|byte| byte.is_none_or(|byte| byte > most)) {
            None => Ok(bytes.into_iter().flatten().collect()),
            Some(at) => Err((at, self.text(at))),
        }
    }

    /// Returns the class of each row of `columns` numbers that are one-hot, a single 1 among zeros: the place of the 1;
    /// of the first other row its index.
    pub fn one_hot(&self, columns: usize) -> Result<Vec<u8>, usize> {
        let digit = |at: usize| match self {
            Self::U8(values) | Self::Bool(values) => Some(i64::from(values[at])),
            Self::Ints(values) => Some(values[at]),
            Self::Floats(values) if values[at] == 0.0 => Some(0),
            Self::Floats(values) => (values[at] == 1.0).then_some(1),
            Self::Text(_) => None,
        };
        let class = |row: usize| {
            let mut class = None;
            for column in 0..columns {
                match (digit(row * columns + column)?, class) {
                    (0, _) => {}
                    (1, None) => class = Some(column),
                    _ => return None,
                }
            }
            u8::try_from(class?).ok()
        };
        (0..self.len() / columns.max(1)).map(|row| class(row).ok_or(row)).collect()
    }

    /// Returns the lowest and the highest of floats that are all whole numbers from 0 to 255, as classes are.
    pub fn whole_range(&self) -> Option<[f32; 2]> {
        let Self::Floats(values) = self else { return None };
        let is_class = |value: &f32| (0.0..=255.0).contains(value) && value.fract() == 0.0;
        let [low, high] = [f32::min, f32::max].map(|of| values.iter().copied().reduce(of));
        values.iter().all(is_class).then_some([low?, high?])
    }

    /// Returns some of the numbers as text: "[0, 2, 1]".
    pub fn row_text(&self, from: usize, columns: usize) -> String {
        const MOST: usize = 8;
        let shown: Vec<String> = (from..).take(columns.min(MOST)).map(|at| self.text(at)).collect();
        let more = if columns > MOST { ", …" } else { "" };
        format!("[{}{more}]", shown.join(", "))
    }

    fn text(&self, at: usize) -> String {
        match self {
            Self::U8(values) | Self::Bool(values) => values[at].to_string(),
            Self::Ints(values) => values[at].to_string(),
            Self::Floats(values) => number(values[at]),
            Self::Text(text) => text.shown(at),
        }
    }
}
