//! The zip archives that PyTorch reads: records that are stored as they are, and aligned
//! (`caffe2/serialize/inline_container.h`).

use std::io::{Cursor, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{ExportError, Format};
use crate::native::{LibtorchError, reserved};

/// The folder of all records; PyTorch accepts any name.
const FOLDER: &str = "archive";
/// The alignment of the values in bytes, as in `torch.save`, so that they can be memory-mapped.
const ALIGNMENT: u16 = 64;

/// Returns an archive with these records: names and contents.
pub(super) fn encode(format: Format, records: &[(String, &[u8])]) -> Result<Vec<u8>, ExportError> {
    let failed = |error: ZipError| ExportError::Encode { format, message: error.to_string() };
    let bytes: usize =
        records.iter().map(|(name, content)| content.len() + 2 * name.len() + 256).sum();
    let mut zip = ZipWriter::new(Cursor::new(reserved(bytes).map_err(LibtorchError::memory)?));
    for (name, content) in records {
        record(&mut zip, name, content).map_err(failed)?;
    }
    Ok(zip.finish().map_err(failed)?.into_inner())
}

fn record(
    zip: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    content: &[u8],
) -> Result<(), ZipError> {
    // The timestamp is 1980, so that the same network gives the same bytes.
    let options = SimpleFileOptions::DEFAULT
        .compression_method(CompressionMethod::Stored)
        .large_file(content.len() >= u32::MAX as usize)
        .with_alignment(ALIGNMENT);
    zip.start_file(format!("{FOLDER}/{name}"), options)?;
    Ok(zip.write_all(content)?)
}
