//! PNG and JPEG files, decoded and prepared for a network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqfit::data::images;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(gray) = images::from_bytes(bytes) {
        assert_eq!(gray.pixels.len(), gray.height * gray.width);
        if let Ok(pixels) = images::prepare(&gray, [28, 28]) {
            assert_eq!(pixels.len(), 28 * 28);
        }
    }
});
