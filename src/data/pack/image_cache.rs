//! The images of a folder of pictures, kept in the cache folder under a digest of the pictures' contents: decoding
//! them takes much longer than reading them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::read_pictures;
use super::walk_class_folders::Picture;
use crate::atomic_files::{self, WriteError};
use crate::data::picture_shape::PictureShape;
use crate::data::{Preparation, sha256};

/// The folder in the cache folder.
const FOLDER: &str = "pictures";
/// The largest size of all files in it, in bytes; the oldest ones make room.
const MOST: u64 = 4 << 30;
/// Changes with the way in which pictures become images: files of other versions are not found.
const VERSION: &[u8] = b"seqfit pictures 1";
const DIGEST: usize = 32;

/// The place of some images in the cache.
pub(super) struct Entry {
    path: PathBuf,
    bytes: usize,
}

impl Entry {
    /// Returns the place of the images of these pictures; none if one of them cannot be read.
    pub fn of(
        cache: &Path,
        pictures: &[Picture],
        shape: PictureShape,
        preparation: Preparation,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Option<Self> {
        let mut key = Sha256::new();
        key.update(VERSION);
        key.update(format!("{:?} {preparation}", shape.sample_shape()));
        read_pictures::digests(pictures, progress)?.iter().for_each(|digest| key.update(digest));
        let name = format!("{}.u8", sha256::hex(&key.finalize()));
        let bytes = pictures.len().checked_mul(shape.values())?;
        Some(Self { path: cache.join(FOLDER).join(name), bytes })
    }

    /// Returns the images, one after the other, if they are there and undamaged.
    pub fn read(&self) -> Option<Vec<u8>> {
        let length = fs::metadata(&self.path).ok()?.len();
        if length != (self.bytes + DIGEST) as u64 {
            return None;
        }
        let mut pixels = fs::read(&self.path).ok()?;
        let digest = pixels.split_off(self.bytes.min(pixels.len()));
        (Sha256::digest(&pixels)[..] == digest[..]).then_some(pixels)
    }

    /// Keeps the images. They can always be decoded again, so a cache that cannot be written is no error.
    pub fn write(&self, pixels: &[u8]) {
        let (Some(folder), true) = (self.path.parent(), pixels.len() == self.bytes) else { return };
        let length = (pixels.len() + DIGEST) as u64;
        if length > MOST || fs::create_dir_all(folder).is_err() {
            return;
        }
        make_room(folder, MOST - length);
        // One after the other: a copy of both would take the memory of the images once more.
        let _ = atomic_files::write_with(&self.path, |temporary| {
            let at = |source| WriteError::new(&self.path, length, source);
            let mut file = fs::File::create(temporary).map_err(at)?;
            file.write_all(pixels).map_err(at)?;
            file.write_all(&Sha256::digest(pixels)).map_err(at)
        });
    }
}

/// Removes the oldest files until the others have at most `most` bytes.
fn make_room(folder: &Path, most: u64) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = files
        .filter_map(|file| {
            let facts = file.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((facts.modified().ok()?, facts.len(), file.path()))
        })
        .collect();
    files.sort();
    let mut all: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, bytes, path) in files {
        if all <= most {
            break;
        }
        if fs::remove_file(path).is_ok() {
            all -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_images_are_not_used_and_old_ones_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |name: &str| Entry { path: folder.path().join(FOLDER).join(name), bytes: 3 };
        entry("a").write(&[1, 2, 3]);
        assert_eq!(entry("a").read(), Some(vec![1, 2, 3]));
        assert_eq!(entry("b").read(), None);
        entry("c").write(&[1, 2]);
        assert_eq!(entry("c").read(), None);
        let mut bytes = fs::read(entry("a").path).unwrap();
        bytes[1] ^= 1;
        fs::write(entry("a").path, &bytes).unwrap();
        assert_eq!(entry("a").read(), None);
        entry("b").write(&[4, 5, 6]);
        let old = fs::File::options().write(true).open(entry("a").path).unwrap();
        old.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        make_room(&folder.path().join(FOLDER), 40);
        assert!(!entry("a").path.exists());
        assert_eq!(entry("b").read(), Some(vec![4, 5, 6]));
    }
}
