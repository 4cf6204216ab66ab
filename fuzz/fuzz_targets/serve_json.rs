//! JSON requests to `seqfit serve`: lists of pixels or numbers, and pictures in base64.

#![no_main]

use seqfit::data::FeatureKind;
use seqfit::serve::read_json;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for (features, shape) in [(FeatureKind::Pixels, [4, 3]), (FeatureKind::Floats, [2, 2])] {
        if let Ok(samples) = read_json(bytes, &shape, features) {
            assert!(samples.check().is_ok() && samples.shape() == shape);
        }
    }
});
