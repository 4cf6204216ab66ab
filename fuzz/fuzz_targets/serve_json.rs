//! JSON requests to `seqfit serve`: lists of pixels, and pictures in base64.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(pixels) = seqfit::serve::read_json(bytes, [4, 3]) {
        assert!(!pixels.is_empty() && pixels.len().is_multiple_of(12));
    }
});
