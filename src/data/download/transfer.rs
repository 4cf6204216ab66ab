//! One file from one mirror.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ureq::Body;
use ureq::http::Response;

use super::super::catalog::RemoteFile;
use super::super::error::DataError;
use super::checksum::check;
use super::http;
use super::problem::MirrorProblem;
use super::progress::Progress;
use super::stop_reason::Stop;

/// How often a mirror is asked to resume after the connection broke; a try that brought no new bytes
/// is the last.
const RESUMES: usize = 5;

/// Completes the file at `part` from `url`; it has been checked when this returns.
pub(super) fn fetch(
    file: &RemoteFile<'_>,
    url: &str,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Stop> {
    let mut part = Part::open(part)?;
    if part.len > file.bytes {
        part.clear()?;
    }
    let mut resumes = 0;
    loop {
        let before = part.len;
        // The part left by an earlier mirror may be wrong; then this mirror starts from scratch.
        let resumed = before > 0;
        let problem = match transfer(file, url, &mut part, progress) {
            Ok(()) => match part.verify(file)? {
                None => return Ok(()),
                Some(problem) => problem,
            },
            Err(Stop::Mirror(problem @ MirrorProblem::Connection(_))) => {
                resumes += 1;
                if part.len > before && resumes <= RESUMES {
                    continue;
                }
                return Err(problem.into());
            }
            Err(Stop::Mirror(problem @ MirrorProblem::Status(status))) if status != 416 => {
                return Err(problem.into());
            }
            Err(Stop::Mirror(problem)) => problem,
            Err(here) => return Err(here),
        };
        part.clear()?;
        if !resumed || resumes > RESUMES {
            return Err(problem.into());
        }
        resumes += 1;
    }
}

/// Requests the missing bytes and appends them.
fn transfer(
    file: &RemoteFile<'_>,
    url: &str,
    part: &mut Part<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Stop> {
    if part.len == file.bytes {
        return Ok(()); // complete, and left unchecked by a process that ended
    }
    let response = http::get(url, part.len)?;
    let total = place(file, &response, part)?;
    let mut told = |done| progress(Progress { file: file.name.to_owned(), done, total });
    told(part.len);
    let mut body = response.into_body().into_reader();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = match body.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(MirrorProblem::Connection(error.to_string()).into()),
        };
        if part.len + read as u64 > file.bytes {
            return Err(MirrorProblem::TooLong { limit: file.bytes }.into());
        }
        part.append(&chunk[..read])?;
        told(part.len);
    }
}

/// Checks where the response begins and how long it is, and returns the file's length.
fn place(
    file: &RemoteFile<'_>,
    response: &Response<Body>,
    part: &mut Part<'_>,
) -> Result<u64, Stop> {
    match response.status().as_u16() {
        206 if part.len > 0 => match http::content_range(response.headers()) {
            Some((first, total))
                if first == part.len && total.is_none_or(|total| total <= file.bytes) => {}
            _ => return Err(MirrorProblem::Range { wanted: part.len }.into()),
        },
        // The server does not resume: start from the beginning.
        200 => part.clear()?,
        status => return Err(MirrorProblem::Status(status).into()),
    }
    match http::content_length(response.headers()) {
        Some(length) if length > file.bytes - part.len => {
            Err(MirrorProblem::TooLong { limit: file.bytes }.into())
        }
        Some(length) => Ok(part.len + length),
        None => Ok(file.bytes),
    }
}

/// The growing file; `len` never exceeds what is on disk.
struct Part<'a> {
    path: &'a Path,
    file: File,
    len: u64,
}

impl<'a> Part<'a> {
    fn open(path: &'a Path) -> Result<Self, Stop> {
        let open = || {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            let len = file.seek(SeekFrom::End(0))?;
            Ok(Self { path, file, len })
        };
        open().map_err(|source| Stop::Here(DataError::write(path, source)))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.file.write_all(bytes).map_err(|source| self.here(source))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Stop> {
        self.file.set_len(0).map_err(|source| self.here(source))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.here(source))?;
        self.len = 0;
        Ok(())
    }

    fn verify(&self, file: &RemoteFile<'_>) -> Result<Option<MirrorProblem>, Stop> {
        let found = check(file, self.path).map_err(Stop::Here)?;
        let expected = file.sha256.to_owned();
        Ok(found.map(|found| MirrorProblem::Checksum { expected, found }))
    }

    fn here(&self, source: io::Error) -> Stop {
        Stop::Here(DataError::write(self.path, source))
    }
}
