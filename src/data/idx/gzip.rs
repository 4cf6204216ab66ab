//! Gzip as gzip(1) reads it: one or more members, and after them only zero bytes.

use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// The first byte of a member.
const MAGIC: u8 = 0x1f;

/// Reads the contents of all members, one after the other. Zero bytes after the last are the padding that tapes
/// and block copies leave.
pub(in crate::data) struct Members<R> {
    now: Now<R>,
}

enum Now<R> {
    Member(GzDecoder<R>),
    Done,
}

/// Bytes after a gzip that are neither padding nor another member.
#[derive(Debug)]
struct Garbage;

impl fmt::Display for Garbage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes after the end of the gzip")
    }
}

impl Error for Garbage {}

/// Returns whether an error of [`Members`] is about bytes after the gzip.
pub(super) fn is_garbage(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Garbage>())
}

impl<R: BufRead> Members<R> {
    pub fn new(input: R) -> Self {
        Self { now: Now::Member(GzDecoder::new(input)) }
    }

    /// Moves on to what follows a member: padding or another one.
    fn next(&mut self) -> io::Result<()> {
        let Now::Member(decoder) = std::mem::replace(&mut self.now, Now::Done) else {
            return Ok(());
        };
        let mut input = decoder.into_inner();
        match retry(|| Ok(input.fill_buf()?.first().copied()))? {
            Some(MAGIC) => self.now = Now::Member(GzDecoder::new(input)),
            None => {}
            Some(_) => padding(&mut input)?,
        }
        Ok(())
    }
}

/// Reads zero bytes to the end.
fn padding(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let (length, zeros) = retry(|| {
            let bytes = input.fill_buf()?;
            Ok((bytes.len(), bytes.iter().all(|&byte| byte == 0)))
        })?;
        if !zeros {
            return Err(io::Error::new(io::ErrorKind::InvalidData, Garbage));
        }
        if length == 0 {
            return Ok(());
        }
        input.consume(length);
    }
}

fn retry<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Now::Member(decoder) = &mut self.now {
            match decoder.read(buffer)? {
                0 => self.next()?,
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}
