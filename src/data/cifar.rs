//! CIFAR-10 and CIFAR-100 as their authors publish them: files of records, each a label, or two, and then the 1,024 red,
//! green and blue values of an image of 32x32, row by row; in one archive, or unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::cifar_files::{Layout, Place};
use super::cifar_problem::CifarProblem;
use super::class_names;
use super::dataset::Dataset;
use super::error::DataError;
use super::features::Features;
use super::open_file::ordinary;
use super::sha256::{self, Hashing};
use super::source::SourceFile;
use super::tar_entries::TarEntries;
use super::targets::Targets;

const SIDE: usize = 32;
const IMAGE: usize = 3 * SIDE * SIDE;
/// The longest file that is read; the longest of both has 154 MB.
const MOST_BYTES: u64 = 1 << 30;
/// The longest list of names.
const MOST_NAMES: u64 = 64 << 10;

/// A data set that was read.
pub(super) struct Cifar {
    pub train: Dataset,
    pub test: Dataset,
    /// Training files before the test file.
    pub files: Vec<SourceFile>,
    /// The SHA-256 of the archive, if it was read.
    pub archive: Option<(PathBuf, String)>,
}

impl Layout {
    /// Reads both parts from a folder.
    ///
    /// # Errors
    /// A file that is missing, cannot be read or does not consist of records; a label without a class.
    pub fn load(&self, folder: &Path) -> Result<Cifar, DataError> {
        let missing = || self.missing(folder, self.train[0]);
        let place = self.place(folder).ok_or_else(missing)?;
        let (mut contents, at, archive) = match place {
            Place::Folder(folder) => (self.read_folder(&folder)?, folder, None),
            Place::Archive(path) => {
                let (contents, sha256) = self.read_archive(&path)?;
                (contents, path.clone(), Some((path, sha256)))
            }
        };
        let names = match contents.remove(self.names) {
            Some(text) => self.names_in(&text, &at)?,
            None => self.name.entry().classes.iter().map(ToString::to_string).collect(),
        };
        let files: Vec<&str> = self.train.iter().chain([&self.test]).copied().collect();
        let mut recorded = Vec::new();
        for name in &files {
            let bytes = contents.get(*name).ok_or_else(|| self.missing(&at, name))?;
            let sha256 = sha256::sha256(&bytes[..]).map_err(|e| DataError::read(&at, e))?;
            recorded.push(SourceFile { name: (*name).to_owned(), sha256 });
        }
        let mut part = |names_of: &[&str]| {
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            for name in names_of {
                let bytes = contents.remove(*name).unwrap_or_default();
                self.records(&bytes, names.len(), &mut pixels, &mut labels)
                    .map_err(|problem| problem_at(&at, name, problem))?;
            }
            let features = Features::pixels(pixels, [3, SIDE, SIDE]);
            let dataset = Dataset::from_arrays(features, Targets::classes(labels, names.clone()))?;
            Ok::<_, DataError>(dataset.with_preparation(self.name.entry().preparation))
        };
        let (train, test) = (part(self.train)?, part(&[self.test])?);
        Ok(Cifar { train, test, files: recorded, archive })
    }

    fn missing(&self, at: &Path, name: &str) -> DataError {
        problem_at(at, name, CifarProblem::Missing { dataset: self.name })
    }

    fn wants(&self, name: &str) -> bool {
        self.train.contains(&name) || name == self.test || name == self.names
    }

    fn read_folder(&self, folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, DataError> {
        let mut contents = BTreeMap::new();
        for name in self.train.iter().chain([&self.test, &self.names]) {
            let path = folder.join(name);
            if !path.exists() {
                continue;
            }
            let (file, length) = ordinary(&path)?;
            if length > MOST_BYTES {
                return Err(problem_at(folder, name, CifarProblem::TooLong { found: length }));
            }
            let mut bytes = Vec::new();
            file.take(MOST_BYTES)
                .read_to_end(&mut bytes)
                .map_err(|source| DataError::read(&path, source))?;
            contents.insert((*name).to_owned(), bytes);
        }
        Ok(contents)
    }

    /// Returns the files in an archive, and its SHA-256.
    fn read_archive(&self, path: &Path) -> Result<(BTreeMap<String, Vec<u8>>, String), DataError> {
        let broken = |source: io::Error| match source.kind() {
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => {
                let problem = CifarProblem::Archive(source.to_string());
                DataError::Cifar { path: path.to_owned(), problem }
            }
            _ => DataError::read(path, source),
        };
        let mut file = Hashing::new(File::open(path).map_err(|e| DataError::read(path, e))?);
        let mut contents = BTreeMap::new();
        let unpacked = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, &mut file));
        let mut entries = TarEntries::new(unpacked);
        while let Some(entry) = entries.next().map_err(broken)? {
            let name = Path::new(&entry.name).file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            if !self.wants(&name) || contents.contains_key(&name) {
                continue;
            }
            if entry.bytes > MOST_BYTES {
                let found = entry.bytes;
                return Err(problem_at(path, &name, CifarProblem::TooLong { found }));
            }
            let bytes = entries.contents().map_err(broken)?;
            contents.insert(name, bytes);
        }
        drop(entries);
        // The rest of the file belongs to its digest, too.
        io::copy(&mut file, &mut io::sink()).map_err(broken)?;
        Ok((contents, file.finish()))
    }

    fn names_in(&self, text: &[u8], at: &Path) -> Result<Vec<String>, DataError> {
        let wrong = |found: String| problem_at(at, self.names, CifarProblem::Names(found));
        if text.len() as u64 > MOST_NAMES {
            return Err(wrong(format!("{} bytes", text.len())));
        }
        let text = std::str::from_utf8(text).map_err(|_| wrong("text that is not UTF-8".into()))?;
        let names = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let names: Vec<String> = names.map(ToOwned::to_owned).collect();
        class_names::encode(&names).map_err(|problem| wrong(problem.to_string()))?;
        Ok(names)
    }

    /// Appends the images and labels of a file.
    fn records(
        &self,
        bytes: &[u8],
        classes: usize,
        pixels: &mut Vec<u8>,
        labels: &mut Vec<u8>,
    ) -> Result<(), CifarProblem> {
        let record = self.labels + IMAGE;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            return Err(CifarProblem::Length { record, found: bytes.len() });
        }
        for (number, record) in bytes.chunks_exact(record).enumerate() {
            let (head, image) = record.split_at(self.labels);
            let label = head.last().copied().unwrap_or_default();
            if usize::from(label) >= classes {
                return Err(CifarProblem::Label { number, label, classes });
            }
            labels.push(label);
            pixels.extend_from_slice(image);
        }
        Ok(())
    }
}

/// Adds the file to a problem: in a folder, or in an archive.
fn problem_at(place: &Path, name: &str, problem: CifarProblem) -> DataError {
    DataError::Cifar { path: place.join(name), problem }
}
