//! NumPy's arrays, `.npy`, by <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use super::decode_bytes::Order;
use super::memory_budget::MemoryBudget;
use super::problem::FormatProblem;

/// The header before an array's numbers.
#[derive(Debug, PartialEq)]
pub struct Header {
    /// The type of the numbers as the file names it, such as `<f4`; of records the beginning of their list.
    pub descr: String,
    /// The byte order of the numbers.
    pub order: Order,
    /// Whether the first axis varies fastest.
    pub fortran: bool,
    /// The shape.
    pub shape: Vec<usize>,
}

/// Reorders values from Fortran order, in which the first axis varies fastest, to C order, in which the last does.
pub fn by_rows<T: Copy>(
    columns: &[T],
    shape: &[usize],
    budget: &mut MemoryBudget,
) -> Result<Vec<T>, FormatProblem> {
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

/// The rule that a header breaks.
pub type Rule = &'static str;

impl Header {
    /// Splits a record into the header and the bytes after it.
    pub fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Rule> {
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
            (Some(descr), Some(fortran), Some(shape), true) => {
                let order = if descr.starts_with('>') { Order::Big } else { Order::Little };
                Ok(Self { descr, order, fortran, shape })
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
    fn descr(&mut self) -> Result<String, Rule> {
        const SHOWN: usize = 40;
        if self.0.trim_start().starts_with('[') {
            let end = self.0.find(']').ok_or("its header is cut")?;
            let (list, rest) = self.0.split_at(end + 1);
            self.0 = rest;
            return Ok(list.trim().chars().take(SHOWN).collect());
        }
        Ok(self.quoted()?.chars().take(SHOWN).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_strictly() {
        let parse = |text: &str| Header::parse(text);
        let header = |descr: &str, order, fortran, shape: &[usize]| {
            Ok(Header { descr: descr.to_owned(), order, fortran, shape: shape.to_vec() })
        };
        let right = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n";
        assert_eq!(parse(right), header("<f4", Order::Little, false, &[3, 4]));
        let right = "{'descr': '>f8', 'fortran_order': True, 'shape': (3,), }\n";
        assert_eq!(parse(right), header(">f8", Order::Big, true, &[3]));
        let right = "{'shape': (), 'descr': '|O', 'fortran_order': False}";
        assert_eq!(parse(right), header("|O", Order::Little, false, &[]));
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
    fn columns_become_rows() -> Result<(), FormatProblem> {
        let columns = [
            0., 12., 4., 16., 8., 20., 1., 13., 5., 17., 9., 21., 2., 14., 6., 18., 10., 22., 3.,
            15., 7., 19., 11., 23.,
        ];
        let rows = by_rows(&columns, &[2, 3, 4], &mut MemoryBudget::new(0, 1))?;
        assert!(rows.iter().enumerate().all(|(i, &value)| value == i as f32), "{rows:?}");
        assert!(by_rows::<f32>(&[], &[0, 3], &mut MemoryBudget::new(0, 1))?.is_empty());
        Ok(())
    }
}
