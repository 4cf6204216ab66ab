//! NumPy's arrays: `.npy` records in a `.npz` archive, by
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use super::archive::Archive;
use super::card::{CARD, Card};
use super::decode_numbers::{Order, count};
use super::dtype::Dtype;
use super::error::Problem;
use super::format::Format;
use super::memory_budget::MemoryBudget;
use super::{Imported, ImportedTensor};

/// Reads an archive of arrays, from any writer.
pub(super) fn read_npz(bytes: &[u8]) -> Result<Imported, Problem> {
    let mut archive = Archive::open(bytes)?;
    let mut budget = MemoryBudget::new(bytes.len(), MemoryBudget::PACKED);
    let names: Vec<String> = archive.names().map(ToOwned::to_owned).collect();
    let (mut tensors, mut card) = (Vec::new(), None);
    for record in names {
        if let Some(name) = record.strip_suffix(".npy") {
            let bytes = archive.read(&record, &mut budget)?;
            tensors.push(array(name, &bytes, &mut budget)?);
        } else if record == CARD {
            card = Card::read(&archive.read(&record, &mut budget)?);
        } else if !record.ends_with('/') {
            let message =
                format!("record {record:?}, which is not an array: save the arrays alone");
            return Err(Problem::Unsupported { format: ".npz", message });
        }
    }
    Ok(Imported { card, ..Imported::new(Format::Npz, tensors) })
}

/// The header before an array's numbers.
#[derive(Debug, PartialEq)]
struct Header {
    dtype: Dtype,
    order: Order,
    /// Whether the first axis varies fastest.
    fortran: bool,
    shape: Vec<usize>,
}

fn array(name: &str, bytes: &[u8], budget: &mut MemoryBudget) -> Result<ImportedTensor, Problem> {
    let damaged = |message: String| Problem::Damaged {
        format: ".npz",
        message: format!("array {name:?}: {message}"),
    };
    let (header, data) = Header::read(bytes).map_err(|rule| damaged(rule.to_owned()))?;
    let Header { dtype, order, fortran, shape } = header;
    let numbers = count(&shape).unwrap_or(usize::MAX);
    if let Some(size) = dtype.size()
        && numbers.checked_mul(size) != Some(data.len())
    {
        let found = data.len();
        return Err(damaged(format!(
            "{numbers} numbers of {size} bytes are needed, found {found} bytes"
        )));
    }
    let mut values = dtype.decode(data, order, budget)?;
    if let (Some(columns), true, 2..) = (&values, fortran, shape.len()) {
        values = Some(by_rows(columns, &shape, budget)?);
    }
    Ok(ImportedTensor { name: name.to_owned(), dtype, shape, values })
}

/// Reorders values from Fortran order, in which the first axis varies fastest, to C order, in which the last does.
fn by_rows(
    columns: &[f32],
    shape: &[usize],
    budget: &mut MemoryBudget,
) -> Result<Vec<f32>, Problem> {
    let mut rows = budget.list(columns.len())?;
    for position in 0..columns.len() {
        let (mut rest, mut place, mut stride) = (position, 0, columns.len());
        for &size in shape.iter().rev() {
            stride /= size;
            place += rest % size * stride;
            rest /= size;
        }
        rows.push(columns[place]);
    }
    Ok(rows)
}

type Rule = &'static str;

impl Header {
    /// Splits a record into the header and the bytes after it.
    fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Rule> {
        let cut = "it is cut";
        let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("it does not begin as an array does")?;
        let (length, rest) = match *rest {
            [1, 0, low, high, ref rest @ ..] => (u16::from_le_bytes([low, high]).into(), rest),
            [2 | 3, 0, a, b, c, d, ref rest @ ..] => {
                (u32::from_le_bytes([a, b, c, d]) as usize, rest)
            }
            _ => return Err("versions 1 to 3 are known"),
        };
        let (text, data) = rest.split_at_checked(length).ok_or(cut)?;
        let text = std::str::from_utf8(text).map_err(|_| "its header must be text")?;
        Ok((Self::parse(text)?, data))
    }

    /// `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`
    fn parse(text: &str) -> Result<Self, Rule> {
        let mut parser = Parser(text);
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        parser.expect("{")?;
        while !parser.takes("}") {
            let key = parser.quoted()?;
            parser.expect(":")?;
            match key {
                "descr" if descr.is_none() => descr = Some(parser.descr()?),
                "fortran_order" if fortran.is_none() => fortran = Some(parser.boolean()?),
                "shape" if shape.is_none() => shape = Some(parser.tuple()?),
                _ => return Err("its header has descr, fortran_order and shape, once each"),
            }
            if !parser.takes(",") {
                parser.expect("}")?;
                break;
            }
        }
        match (descr, fortran, shape, parser.0.trim().is_empty()) {
            (Some((dtype, order)), Some(fortran), Some(shape), true) => {
                Ok(Self { dtype, order, fortran, shape })
            }
            _ => Err("its header has descr, fortran_order and shape, once each"),
        }
    }
}

/// The part of a header that is still to be read.
struct Parser<'a>(&'a str);

impl<'a> Parser<'a> {
    fn takes(&mut self, token: &str) -> bool {
        let rest = self.0.trim_start_matches(' ').strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), Rule> {
        self.takes(token).then_some(()).ok_or("its header is not a Python dictionary")
    }

    fn quoted(&mut self) -> Result<&'a str, Rule> {
        self.expect("'")?;
        let (text, rest) = self.0.split_once('\'').ok_or("its header is cut")?;
        self.0 = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, Rule> {
        match (self.takes("True"), self.takes("False")) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err("fortran_order is True or False"),
        }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, Rule> {
        let rule = "shape is a tuple of whole numbers";
        self.expect("(")?;
        let (text, rest) = self.0.split_once(')').ok_or("its header is cut")?;
        self.0 = rest;
        let text = text.trim();
        // Like NumPy: "()", "(3,)", "(3, 4)".
        let text = text.strip_suffix(',').unwrap_or(text);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let sizes: Vec<usize> = text
            .split(',')
            .map(|size| size.trim().parse().map_err(|_| rule))
            .collect::<Result<_, _>>()?;
        // NumPy's own limit.
        if sizes.len() > 64 { Err(rule) } else { Ok(sizes) }
    }

    /// Parses the type of the numbers; a list, the type of records, is kept as text.
    fn descr(&mut self) -> Result<(Dtype, Order), Rule> {
        if self.0.trim_start().starts_with('[') {
            let end = self.0.find(']').ok_or("its header is cut")?;
            let (list, rest) = self.0.split_at(end + 1);
            self.0 = rest;
            return Ok((Dtype::Other(list.trim().chars().take(40).collect()), Order::Little));
        }
        let text = self.quoted()?;
        let order = if text.starts_with('>') { Order::Big } else { Order::Little };
        let dtype = match text.get(1..) {
            Some("f2") if text.starts_with(['<', '>']) => Dtype::F16,
            Some("f4") if text.starts_with(['<', '>']) => Dtype::F32,
            Some("f8") if text.starts_with(['<', '>']) => Dtype::F64,
            _ => Dtype::Other(text.chars().take(40).collect()),
        };
        Ok((dtype, order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_strictly() {
        let parse = |text: &str| Header::parse(text);
        let header = |dtype, order, fortran, shape: &[usize]| {
            Ok(Header { dtype, order, fortran, shape: shape.to_vec() })
        };
        let right = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n";
        assert_eq!(parse(right), header(Dtype::F32, Order::Little, false, &[3, 4]));
        let right = "{'descr': '>f8', 'fortran_order': True, 'shape': (3,), }\n";
        assert_eq!(parse(right), header(Dtype::F64, Order::Big, true, &[3]));
        let right = "{'shape': (), 'descr': '|O', 'fortran_order': False}";
        assert_eq!(parse(right), header(Dtype::Other("|O".into()), Order::Little, false, &[]));
        for wrong in [
            "",
            "{",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'shape': (3,)}",
            "{'descr': __import__('os'), 'fortran_order': False, 'shape': (3,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    /// `numpy.asfortranarray(numpy.arange(24.).reshape(2, 3, 4)).tobytes("F")`
    #[test]
    fn columns_become_rows() -> Result<(), Problem> {
        let columns = [
            0., 12., 4., 16., 8., 20., 1., 13., 5., 17., 9., 21., 2., 14., 6., 18., 10., 22., 3.,
            15., 7., 19., 11., 23.,
        ];
        let rows = by_rows(&columns, &[2, 3, 4], &mut MemoryBudget::new(0, 1))?;
        assert!(rows.iter().enumerate().all(|(i, &value)| value == i as f32), "{rows:?}");
        assert!(by_rows(&[], &[0, 3], &mut MemoryBudget::new(0, 1))?.is_empty());
        Ok(())
    }
}
