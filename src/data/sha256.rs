//! SHA-256 of files, computed while they are read.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// A SHA-256 as 64 hexadecimal digits in lower case.
pub type Sha256Hex = String;

/// Passes on what it reads, and computes its SHA-256.
pub(super) struct Hashing<R> {
    input: R,
    sha256: Sha256,
}

impl<R: Read> Hashing<R> {
    pub fn new(input: R) -> Self {
        Self { input, sha256: Sha256::new() }
    }

    /// Returns the digest of everything read so far.
    pub fn finish(self) -> Sha256Hex {
        hex(&self.sha256.finalize())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.sha256.update(&buffer[..read]);
        Ok(read)
    }
}

/// Formats a digest's bytes as hexadecimal digits.
pub(super) fn hex(digest: &[u8]) -> Sha256Hex {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the digest of all of `input`.
pub(crate) fn sha256(input: impl Read) -> io::Result<Sha256Hex> {
    let mut hashing = Hashing::new(input);
    let mut chunk = vec![0; 64 << 10];
    loop {
        match hashing.read(&mut chunk) {
            Ok(0) => return Ok(hashing.finish()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_sha_256() -> io::Result<()> {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&b"abc"[..])?, expected);
        Ok(())
    }
}
