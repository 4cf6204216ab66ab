//! The files in a tar archive, read one after the other.
//!
//! POSIX.1-1988 (ustar): a header of 512 bytes for each entry, then its contents, padded to 512. Only plain files are
//! returned. Links, folders and the extensions for long names are passed over: no file that is looked for needs them.

use std::io::{self, Read};

const BLOCK: usize = 512;

/// A plain file in an archive.
pub(super) struct TarEntry {
    /// Its path, as the archive has it; nothing is ever written there.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// Reads an archive.
pub(super) struct TarEntries<R> {
    input: R,
    /// The rest of the current entry's contents, and the padding after it.
    left: u64,
    padding: u64,
}

impl<R: Read> TarEntries<R> {
    pub fn new(input: R) -> Self {
        Self { input, left: 0, padding: 0 }
    }

    /// Returns the next plain file; `None` at the end.
    ///
    /// # Errors
    /// Those of the input; an archive that ends too early, or is none.
    pub fn next(&mut self) -> io::Result<Option<TarEntry>> {
        loop {
            self.skip()?;
            let mut header = [0; BLOCK];
            self.input.read_exact(&mut header)?;
            // Two empty blocks are the end.
            if header.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            check_sum(&header)?;
            let bytes = octal(&header[124..136])?;
            self.left = bytes;
            self.padding = bytes.next_multiple_of(BLOCK as u64) - bytes;
            if matches!(header[156], b'0' | 0) {
                let end = header[..100].iter().position(|&byte| byte == 0).unwrap_or(100);
                let name = String::from_utf8_lossy(&header[..end]).into_owned();
                return Ok(Some(TarEntry { name, bytes }));
            }
        }
    }

    /// Returns the contents of the current file.
    ///
    /// # Errors
    /// Those of the input; an archive that ends too early.
    pub fn contents(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let wanted = std::mem::take(&mut self.left);
        let read = self.input.by_ref().take(wanted).read_to_end(&mut bytes)?;
        if read as u64 == wanted { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn skip(&mut self) -> io::Result<()> {
        let wanted = std::mem::take(&mut self.left) + std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut self.input.by_ref().take(wanted), &mut io::sink())?;
        if skipped == wanted { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Compares a header with its sum of bytes, in which the sum itself counts as spaces.
fn check_sum(header: &[u8; BLOCK]) -> io::Result<()> {
    let sum = |part: &[u8]| part.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    let found = sum(&header[..148]) + 8 * u64::from(b' ') + sum(&header[156..]);
    match octal(&header[148..156])? == found {
        true => Ok(()),
        false => Err(invalid("a header with a wrong sum")),
    }
}

/// Reads a number in octal digits, with spaces or zero bytes around it.
fn octal(field: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(field).map_err(|_| invalid("a number that is not octal"))?;
    let digits = text.trim_matches([' ', '\0']);
    // At most 12 digits: the sums of lengths fit easily.
    u64::from_str_radix(digits, 8).map_err(|_| invalid("a number that is not octal"))
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns an archive of one entry: `tar --format=ustar` writes these fields.
    fn archive(name: &str, kind: u8, contents: &[u8]) -> Vec<u8> {
        let mut header = [0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", contents.len()).as_bytes());
        header[156] = kind;
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|&byte| u64::from(byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let mut bytes = [&header[..], contents].concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    #[test]
    fn plain_files_are_returned_and_others_are_passed_over() {
        let parts = [
            archive("dir", b'5', b""),
            archive("dir/a", b'0', b"first"),
            archive("long", b'L', &[b'x'; 600]),
            archive("b", 0, &[7; BLOCK]),
        ];
        let bytes = [parts.concat(), vec![0; 2 * BLOCK]].concat();
        let mut entries = TarEntries::new(&bytes[..]);
        let first = entries.next().unwrap().unwrap();
        assert_eq!((&first.name[..], first.bytes), ("dir/a", 5));
        assert_eq!(entries.contents().unwrap(), b"first");
        assert_eq!(entries.next().unwrap().unwrap().name, "b");
        assert!(entries.next().unwrap().is_none());
    }

    #[test]
    fn damaged_archives_are_errors() {
        let whole = [archive("a", b'0', &[1; 700]), vec![0; 2 * BLOCK]].concat();
        let read = |bytes: &[u8]| {
            let mut entries = TarEntries::new(bytes);
            while entries.next()?.is_some() {}
            Ok::<_, io::Error>(())
        };
        assert!(read(&whole).is_ok());
        assert!(read(&whole[..600]).is_err());
        assert!(read(&whole[..2 * BLOCK + BLOCK]).is_err());
        let mut changed = whole.clone();
        changed[0] ^= 1;
        assert!(read(&changed).is_err());
        changed = whole;
        changed[124..136].fill(0xff);
        assert!(read(&changed).is_err());
        assert!(read(b"").is_err());
    }
}
