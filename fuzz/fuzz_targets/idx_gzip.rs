//! IDX files in gzip: the input is compressed first, and may be truncated, so that mutations pass the
//! decompressor and its checksum and reach the reader.
#![no_main]

use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use seqfit::data::idx;

fuzz_target!(|input: (u8, u16, Vec<u8>)| {
    let (level, keep, contents) = input;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(u32::from(level % 10)));
    encoder.write_all(&contents).expect("writing to memory succeeds");
    let mut gzip = encoder.finish().expect("writing to memory succeeds");
    if level >= 128 {
        gzip.truncate(usize::from(keep));
    }
    let (length, name) = (gzip.len() as u64, Path::new("fuzz.gz"));
    let images = idx::images_from(&gzip[..], length, name);
    if let Ok(images) = images {
        let header = 4 + 4 * usize::from(contents[3]);
        assert_eq!(images.pixels.len() + header, contents.len());
    }
    let _ = idx::labels_from(&gzip[..], length, name);
});
