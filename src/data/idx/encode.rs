//! Writing IDX files: for tests, tools, and users with their own data.

/// Returns a plain images file of `count` images of `shape`, [height, width] or in color [3, height, width]; the length
/// of `pixels` should be their product.
///
/// ```
/// use seqfit::data::idx;
/// let bytes = idx::encode_images(1, [1, 2], &[0, 255]);
/// let images = idx::images_from(&bytes[..], bytes.len() as u64, "made here".as_ref())?;
/// assert_eq!((images.shape, images.pixels), ([1, 2].into(), vec![0, 255]));
/// # Ok::<(), seqfit::data::DataError>(())
/// ```
pub fn encode_images<const N: usize>(count: u32, shape: [u32; N], pixels: &[u8]) -> Vec<u8> {
    encode(&[&[count], &shape[..]].concat(), pixels)
}

/// Returns a plain labels file; there can be at most 2^32 - 1 labels.
pub fn encode_labels(labels: &[u8]) -> Vec<u8> {
    encode(&[labels.len() as u32], labels)
}

fn encode(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = header(sizes);
    bytes.reserve_exact(values.len());
    bytes.extend(values);
    bytes
}

/// Returns the header, which precedes the values.
pub(in crate::data) fn header(sizes: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes
}
