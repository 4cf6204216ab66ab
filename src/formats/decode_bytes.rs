//! Numbers in the bytes of a file.

/// The byte order of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The least significant byte first.
    Little,
    /// The most significant byte first.
    Big,
}

/// Appends numbers of `N` bytes each; bytes after the last whole number are ignored.
pub fn extend<const N: usize, T>(
    values: &mut Vec<T>,
    bytes: &[u8],
    order: Order,
    number: impl Fn([u8; N]) -> T,
) {
    let (chunks, _) = bytes.as_chunks();
    values.extend(chunks.iter().map(|&chunk| {
        let mut chunk = chunk;
        if order == Order::Big {
            chunk.reverse();
        }
        number(chunk)
    }));
}

/// Returns the product of the sizes, unless it overflows.
pub fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}
