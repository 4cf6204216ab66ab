//! Pictures decoded by several threads, in the order of the list.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::walk_class_folders::Picture;
use crate::data::dataset_problem::DatasetProblem;
use crate::data::error::DataError;
use crate::data::picture_shape::PictureShape;
use crate::data::sample_files::SampleFiles;
use crate::data::{Preparation, images};

/// The memory that decoded pictures take together, in bytes, on all processors. Seven photos of a phone fit, and a
/// larger picture is decoded alone.
const DECODED: u64 = 256 << 20;

/// Decides whether a picture that cannot be used is skipped.
pub(super) type Skips<'a> = &'a (dyn Fn(&DataError) -> bool + Sync);

/// Images, and the pictures that were skipped.
pub(super) struct Images {
    /// One image after the other.
    pub pixels: Vec<u8>,
    /// The class of each.
    pub labels: Vec<u8>,
    /// Pictures that could not be used, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Reads all pictures. The first that cannot be used and is not skipped is the error.
pub(super) fn read(
    pictures: &[Picture],
    shape: PictureShape,
    preparation: Preparation,
    skips: Skips<'_>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Images, DataError> {
    let each = shape.values();
    let mut pixels = zeros(pictures.len().saturating_mul(each))?;
    let (stopped, room) = (AtomicBool::new(false), Room::of(DECODED));
    let items = pixels.chunks_exact_mut(each.max(1)).zip(pictures).enumerate();
    let work = |(i, (place, picture)): (usize, (&mut [u8], &Picture))| {
        if stopped.load(Ordering::Relaxed) {
            return None;
        }
        let error = match image(&picture.path, shape, preparation, &room) {
            Ok(image) => {
                place.copy_from_slice(&image);
                return None;
            }
            Err(error) => error,
        };
        stopped.fetch_or(!skips(&error), Ordering::Relaxed);
        Some((i, error))
    };
    let mut bad = in_parallel(items, pictures.len(), work, progress);
    bad.sort_by_key(|(i, _)| *i);
    if let Some(first) = bad.iter().position(|(_, error)| !skips(error)) {
        return Err(bad.swap_remove(first).1);
    }
    let mut used = vec![true; pictures.len()];
    bad.iter().for_each(|(i, _)| used[*i] = false);
    let mut end = 0;
    for i in (0..pictures.len()).filter(|&i| used[i]) {
        pixels.copy_within(i * each..(i + 1) * each, end);
        end += each;
    }
    pixels.truncate(end);
    let labels = pictures.iter().zip(&used).filter(|(_, used)| **used);
    let labels = labels.map(|(picture, _)| picture.class).collect();
    let skipped = bad.into_iter().map(|(i, error)| (pictures[i].path.clone(), error.to_string()));
    Ok(Images { pixels, labels, skipped: skipped.collect() })
}

/// Pictures that are decoded when they are read.
#[derive(Debug)]
pub(super) struct PictureFiles {
    pub pictures: Vec<Picture>,
    pub shape: PictureShape,
    pub preparation: Preparation,
}

impl SampleFiles for PictureFiles {
    fn read(&self, samples: &[usize], out: &mut [u8]) -> Result<(), DataError> {
        let chosen: Vec<Picture> = samples.iter().map(|&i| self.pictures[i].clone()).collect();
        let images = read(&chosen, self.shape, self.preparation, &|_| false, &mut |_, _| {})?;
        out.copy_from_slice(&images.pixels);
        Ok(())
    }
}

fn zeros(bytes: usize) -> Result<Vec<u8>, DataError> {
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(bytes).map_err(|_| DatasetProblem::Memory { bytes })?;
    pixels.resize(bytes, 0);
    Ok(pixels)
}

fn image(
    path: &Path,
    shape: PictureShape,
    preparation: Preparation,
    room: &Room,
) -> Result<Vec<u8>, DataError> {
    let bytes = images::file_bytes(path)?;
    let _taken = room.take(images::decoded_size(&bytes));
    images::picture_in(&bytes, shape, preparation)
        .map_err(|problem| DataError::Image { path: path.to_owned(), problem })
}

/// Memory that threads share.
struct Room {
    all: u64,
    left: Mutex<u64>,
    released: Condvar,
}

/// A part of it, until this is dropped.
struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    fn of(all: u64) -> Self {
        Self { all, left: Mutex::new(all), released: Condvar::new() }
    }

    /// Waits until as many bytes are left, or all of it where more are asked for, and takes them.
    fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.all);
        let left = self.released.wait_while(lock(&self.left), |left| *left < bytes);
        *left.unwrap_or_else(PoisonError::into_inner) -= bytes;
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *lock(&self.room.left) += self.bytes;
        self.room.released.notify_all();
    }
}

/// Returns the SHA-256 of each picture's file; none if one cannot be read.
pub(super) fn digests(
    pictures: &[Picture],
    progress: &mut dyn FnMut(usize, usize),
) -> Option<Vec<[u8; 32]>> {
    let work = |(i, picture): (usize, &Picture)| {
        let bytes = images::file_bytes(&picture.path).ok()?;
        Some((i, <[u8; 32]>::from(Sha256::digest(&bytes))))
    };
    let mut found = in_parallel(pictures.iter().enumerate(), pictures.len(), work, progress);
    found.sort_by_key(|(i, _)| *i);
    (found.len() == pictures.len()).then(|| found.into_iter().map(|(_, digest)| digest).collect())
}

/// Does the work for each item on all processors, and returns what it has returned, in any order. The items are taken
/// in their order. `progress` is called from this thread.
fn in_parallel<I: Iterator + Send, T: Send>(
    items: I,
    count: usize,
    work: impl Fn(I::Item) -> Option<T> + Sync,
    progress: &mut dyn FnMut(usize, usize),
) -> Vec<T> {
    let (items, done) = (Mutex::new(items), AtomicUsize::new(0));
    let worker = || {
        let mut found = Vec::new();
        loop {
            let Some(item) = lock(&items).next() else { return found };
            found.extend(work(item));
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count.max(1));
    let found = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            progress(done.load(Ordering::Relaxed).min(count), count);
            thread::sleep(Duration::from_millis(20));
        }
        // A reader that panics is a bug: resume the panic.
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    });
    progress(count, count);
    found
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done by a thread that panics: its panic is resumed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_never_take_more_than_there_is_and_all_come_to_an_end() {
        let (room, now, most) = (Room::of(100), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for i in 0..8 {
                let (room, now, most) = (&room, &now, &most);
                scope.spawn(move || {
                    for bytes in [10 * i, 40, 1_000_000, 0, 99] {
                        let taken = room.take(bytes as u64);
                        let bytes = taken.bytes as usize;
                        most.fetch_max(
                            now.fetch_add(bytes, Ordering::SeqCst) + bytes,
                            Ordering::SeqCst,
                        );
                        thread::yield_now();
                        now.fetch_sub(bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((*lock(&room.left), most.into_inner()), (100, 100));
    }
}
