//! Zip archives of records, as PyTorch, NumPy and Keras write them: bounded, and checked by their CRCs.

use std::borrow::Cow;
use std::io::{Cursor, Read};

use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use super::memory_budget::MemoryBudget;
use super::problem::FormatProblem as Problem;

/// Maximum number of records in an archive; a network of a thousand layers has a few thousand.
const MOST_RECORDS: usize = 1 << 16;

/// An archive in memory.
pub struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    names: Vec<String>,
}

impl<'a> Archive<'a> {
    /// Opens an archive and reads its table of contents.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Problem> {
        // Nothing lies before the archive: an archive within a record is not taken for it.
        let config = Config { archive_offset: ArchiveOffset::Known(0) };
        let mut zip = ZipArchive::with_config(config, Cursor::new(bytes))
            .map_err(|error| unopened(bytes, error))?;
        if zip.len() > MOST_RECORDS {
            let found = zip.len();
            return Err(unsupported(format!("{found} records, more than {MOST_RECORDS}")));
        }
        // Each record must be in the table of contents, once and under its own name.
        zip.validate_header_consistency().map_err(damaged)?;
        let names = zip.file_names().map(|name| name.map(Cow::into_owned).map_err(damaged));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { zip, names })
    }

    /// The names of the records, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Returns whether there is a record of this name.
    pub fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// Reads a whole record that is stored or deflated, or returns an error.
    pub fn read(&mut self, name: &str, budget: &mut MemoryBudget) -> Result<Vec<u8>, Problem> {
        let at = |message: String| damaged(format!("record {name:?}: {message}"));
        let place = self.zip.index_for_name(name).ok_or_else(|| at("it is missing".to_owned()))?;
        // Without decompressing: an unknown method is not damage.
        let record = self.zip.by_index_raw(place).map_err(|error| at(error.to_string()))?;
        let (method, encrypted) = (record.compression(), record.encrypted());
        drop(record);
        if encrypted {
            return Err(unsupported(format!(
                "record {name:?}, which is encrypted: save it without"
            )));
        }
        if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
            return Err(unsupported(format!(
                "record {name:?}, which is packed by {method:?}: save it stored or deflated"
            )));
        }
        let record = self.zip.by_index(place).map_err(|error| at(error.to_string()))?;
        let size = usize::try_from(record.size()).unwrap_or(usize::MAX);
        let mut bytes = budget.list(size)?;
        // One byte more than it claims: a wrong size is detected, and the checksum is compared at
        // the end.
        let read = record.take(size as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| at(error.to_string()))?;
        match bytes.len() == size {
            true => Ok(bytes),
            false => Err(at(format!("it must hold {size} bytes, found {}", bytes.len()))),
        }
    }
}

/// The signature at the end of an archive's table of contents.
const END: &[u8] = b"PK\x05\x06";

/// Returns why an archive has no table of contents: it is at the end, which is missing from a truncated file.
fn unopened(bytes: &[u8], error: zip::result::ZipError) -> Problem {
    match bytes.windows(END.len()).any(|window| window == END) {
        true => damaged(error),
        false => Problem::Cut {
            format: "zip",
            message: format!(
                "its table of contents, at the end, is missing in {} bytes",
                bytes.len()
            ),
        },
    }
}

fn unsupported(message: String) -> Problem {
    Problem::Unsupported { format: "zip", message }
}

fn damaged(message: impl ToString) -> Problem {
    Problem::Damaged { format: "zip", message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::{ZipWriter, write::SimpleFileOptions};

    fn archive(compression: CompressionMethod, content: &[u8]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(compression);
        writer.start_file("a", options).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    #[test]
    fn records_are_read_whole_and_every_flipped_bit_is_detected() -> Result<(), Problem> {
        let content = b"some content that is long enough";
        let whole = archive(CompressionMethod::Stored, content);
        let read = |bytes: &[u8]| Archive::open(bytes)?.read("a", &mut MemoryBudget::new(99, 1));
        assert_eq!(read(&whole)?, content);
        let place = whole.windows(content.len()).position(|window| window == content).unwrap();
        for bit in 0..8 * content.len() {
            let mut bytes = whole.clone();
            bytes[place + bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes).is_err(), "bit {bit}");
        }
        Ok(())
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let bytes = archive(CompressionMethod::Deflated, &vec![0; 8 << 20]);
        let mut archive = Archive::open(&bytes).unwrap();
        let error = archive.read("a", &mut MemoryBudget::new(bytes.len(), MemoryBudget::PACKED));
        assert!(error.is_err_and(|e| e.to_string().contains("asks for more than")));
    }
}
