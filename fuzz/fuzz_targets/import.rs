//! Weight files in any format, as raw bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqfit::import::{Imported, ImportOptions};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(imported) = Imported::from_bytes(bytes.to_vec()) {
        let _ = imported.network(&ImportOptions::default());
    }
});
