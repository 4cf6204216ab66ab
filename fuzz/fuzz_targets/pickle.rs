//! The pickle in a torch.save archive with a correct checksum for any content.
#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use seqfit::import::{Imported, ImportOptions};
use zip::{ZipWriter, write::SimpleFileOptions};

fuzz_target!(|bytes: &[u8]| {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut record = |name: &str, content: &[u8]| {
        writer.start_file(name, SimpleFileOptions::default()).expect("a record");
        writer.write_all(content).expect("memory");
    };
    record("a/data.pkl", bytes);
    // The storages of the seeds: 5 by 16 values, 5, 3 by 5 and 3.
    for (i, numbers) in [80, 5, 15, 3].into_iter().enumerate() {
        record(&format!("a/data/{i}"), &vec![0; 4 * numbers]);
    }
    let file = writer.finish().expect("an archive").into_inner();
    if let Ok(imported) = Imported::from_bytes(file) {
        let _ = imported.network(&ImportOptions::default());
    }
});
