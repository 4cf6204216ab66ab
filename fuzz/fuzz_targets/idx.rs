//! IDX files, plain or gzip, which the reader distinguishes by their first bytes.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use seqfit::data::idx;

fuzz_target!(|bytes: &[u8]| {
    let (length, name) = (bytes.len() as u64, Path::new("fuzz"));
    if let Ok(images) = idx::images_from(bytes, length, name) {
        assert_eq!(images.pixels.len(), images.count * images.shape.values());
    }
    if let Ok(labels) = idx::labels_from(bytes, length, name) {
        assert!(!labels.values.is_empty());
    }
});
