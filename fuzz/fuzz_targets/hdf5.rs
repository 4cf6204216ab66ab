//! Keras weights in HDF5: the input follows the signature, which mutations would only break.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seqfit::import::{Imported, ImportOptions};

fuzz_target!(|bytes: &[u8]| {
    let file = [b"\x89HDF\r\n\x1a\n", bytes].concat();
    if let Ok(imported) = Imported::from_bytes(file) {
        let _ = imported.network(&ImportOptions::default());
    }
});
