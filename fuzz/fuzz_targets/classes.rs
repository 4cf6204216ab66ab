//! `classes.txt` and `dataset.toml`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqfit::data;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(names) = data::parse_class_names(bytes) {
        data::check_class_names(&names).expect("parsed names are valid");
    }
    let _ = data::Preparation::from_toml(bytes);
});
