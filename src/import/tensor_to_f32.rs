//! The numbers of a tensor as f32, converted from the file's type.

use half::{bf16, f16};

use super::dtype::Dtype;
use super::error::Problem;
use crate::formats::{MemoryBudget, Order, extend};

impl Dtype {
    /// Converts contiguous numbers to f32; none for other types. Bytes after the last whole number
    /// are ignored.
    pub(super) fn decode(
        &self,
        bytes: &[u8],
        order: Order,
        budget: &mut MemoryBudget,
    ) -> Result<Option<Vec<f32>>, Problem> {
        let Some(size) = self.size() else { return Ok(None) };
        let mut values = budget.list(bytes.len() / size)?;
        match self {
            Self::F32 => extend(&mut values, bytes, order, f32::from_le_bytes),
            Self::F16 => extend(&mut values, bytes, order, |b| f16::from_le_bytes(b).to_f32()),
            Self::BF16 => extend(&mut values, bytes, order, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F64 => extend(&mut values, bytes, order, |b| f64::from_le_bytes(b) as f32),
            Self::Other(_) => return Ok(None),
        }
        Ok(Some(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_order_gives_the_number() -> Result<(), Problem> {
        // struct.pack("<f", -1.5), and so on; bf16 is the upper half of the f32.
        let cases: [(Dtype, &[u8]); 4] = [
            (Dtype::F32, &[0, 0, 0xc0, 0xbf]),
            (Dtype::F16, &[0, 0xbe]),
            (Dtype::BF16, &[0xc0, 0xbf]),
            (Dtype::F64, &[0, 0, 0, 0, 0, 0, 0xf8, 0xbf]),
        ];
        for (dtype, little) in cases {
            let big: Vec<u8> = little.iter().rev().copied().collect();
            for (bytes, order) in [(little, Order::Little), (&big[..], Order::Big)] {
                let mut budget = MemoryBudget::new(8, 1);
                assert_eq!(dtype.decode(bytes, order, &mut budget)?, Some(vec![-1.5]), "{dtype}");
            }
        }
        let other = Dtype::Other("I64".to_owned());
        assert_eq!(other.decode(&[0; 8], Order::Little, &mut MemoryBudget::new(8, 1))?, None);
        Ok(())
    }
}
