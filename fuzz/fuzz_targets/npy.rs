//! An array in a .npz archive with a correct checksum for any content.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use seqfit::import::{Imported, ImportOptions};
use zip::{ZipWriter, write::SimpleFileOptions};

fuzz_target!(|bytes: &[u8]| {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a.npy", SimpleFileOptions::default()).expect("a record");
    writer.write_all(bytes).expect("memory");
    let file = writer.finish().expect("an archive").into_inner();
    if let Ok(imported) = Imported::from_bytes(file) {
        let _ = imported.network(&ImportOptions::default());
    }
});
