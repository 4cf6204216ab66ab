//! A folder of pictures made into a data set: one folder a class, PNG and JPEG files of any size.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::dataset::Dataset;
use super::error::DataError;
use super::{Preparation, check_class_names, images};

/// How pictures become images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PackConfig {
    /// [height, width] of the images.
    pub shape: [usize; 2],
    /// The share of each class that is for testing, where the folder has no `train` and `test` of its
    /// own: above 0 and below 1.
    pub test_share: f64,
    /// Decides which pictures those are.
    pub seed: u64,
    /// How pictures become images, which is written down with the data set: `seqfit predict` does the
    /// same with what it is asked about.
    pub preparation: Preparation,
    /// Leave out pictures that cannot be used.
    pub skip: bool,
}

impl Default for PackConfig {
    fn default() -> Self {
        let preparation = Preparation::Digit;
        Self { shape: [28, 28], test_share: 0.2, seed: 0, preparation, skip: false }
    }
}

/// What became of a folder of pictures.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The training images.
    pub train: Dataset,
    /// The test images.
    pub test: Dataset,
    /// Pictures that could not be used, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// How many files are no pictures by their names.
    pub others: usize,
}

impl Packed {
    /// How many images there are in all.
    pub fn images(&self) -> usize {
        self.train.len() + self.test.len()
    }
}

/// A folder that is not ordered as classes of pictures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackProblem {
    /// Nothing to tell apart.
    #[error(
        "pictures to learn from lie in a folder for each class, such as cats/1.png and dogs/1.png (or \
         train/cats/1.png and test/cats/2.png), found {0}"
    )]
    Classes(String),
    /// A class without pictures.
    #[error("each class needs at least {needed} usable .png, .jpg or .jpeg files, found {found}")]
    TooFew {
        /// How many.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// Training and test folders of other classes.
    #[error("train and test must have the same classes, found {0} in one alone")]
    Differ(String),
}

/// A picture to read, and its class.
struct Picture {
    path: PathBuf,
    class: u8,
}

/// Reads `folder`, in which each class has a folder of pictures; or `train` and `test` in it, which have
/// those. Classes are in the order of their names, numbers by their values. `told` hears of how many
/// pictures of how many are done, from this thread.
///
/// # Errors
/// A folder that is ordered otherwise, or a picture that cannot be used (unless those are skipped).
pub fn from_pictures(
    folder: &Path,
    config: &PackConfig,
    told: &mut dyn FnMut(usize, usize),
) -> Result<Packed, DataError> {
    let [train, test] = ["train", "test"].map(|part| folder.join(part));
    let mut skipped = Vec::new();
    let mut others = 0;
    let mut read = |folder: &Path, names: &[String], needed, told: &mut dyn FnMut(usize, usize)| {
        let (pictures, left) = pictures(folder, names)?;
        others += left;
        let (dataset, bad) = load(&pictures, names, config, told)?;
        skipped.extend(bad);
        for (name, found) in names.iter().zip(dataset.iter().flat_map(Dataset::class_counts)) {
            if found < needed {
                return Err(problem(&folder.join(name), PackProblem::TooFew { needed, found }));
            }
        }
        dataset.ok_or_else(|| problem(folder, PackProblem::TooFew { needed, found: 0 }))
    };
    let (train, test) = if train.is_dir() && test.is_dir() {
        let (names, others) = (class_names(&train)?, class_names(&test)?);
        let differs = |a: &[String], b: &[String]| a.iter().find(|name| !b.contains(name)).cloned();
        if let Some(name) = differs(&names, &others).or_else(|| differs(&others, &names)) {
            return Err(problem(folder, PackProblem::Differ(format!("{name:?}"))));
        }
        (read(&train, &names, 1, told)?, read(&test, &names, 1, told)?)
    } else {
        let names = class_names(folder)?;
        // One to learn from and one to test with.
        read(folder, &names, 2, told)?.split(config.test_share, config.seed)?
    };
    Ok(Packed { train, test, skipped, others })
}

fn problem(path: &Path, problem: PackProblem) -> DataError {
    DataError::Pack { path: path.to_owned(), problem }
}

/// What is in a folder, but for hidden entries, in the order of the names.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let at = |source| DataError::read(folder, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.push((name, path));
        }
    }
    // 2 before 10, and numbers before words.
    let number = |name: &str| name.parse::<u64>().unwrap_or(u64::MAX);
    found.sort_by(|(a, _), (b, _)| (number(a), a).cmp(&(number(b), b)));
    Ok(found)
}

fn class_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let folders = entries(folder)?.into_iter().filter(|(_, path)| path.is_dir());
    let names: Vec<String> = folders.map(|(name, _)| name).collect();
    if names.len() < 2 {
        let found = match &names[..] {
            [] => "no folder".to_owned(),
            [one, ..] => format!("only the folder {one:?}"),
        };
        return Err(problem(folder, PackProblem::Classes(found)));
    }
    check_class_names(&names)
        .map_err(|error| problem(folder, PackProblem::Classes(error.to_string())))?;
    Ok(names)
}

/// The pictures of all classes, and how many other files there are.
fn pictures(folder: &Path, names: &[String]) -> Result<(Vec<Picture>, usize), DataError> {
    let (mut found, mut others) = (Vec::new(), 0);
    for (class, name) in names.iter().enumerate() {
        for (_, path) in entries(&folder.join(name))? {
            let end = path.extension().map(|end| end.to_ascii_lowercase());
            let end = end.as_ref().and_then(|end| end.to_str()).unwrap_or("");
            match end {
                "png" | "jpg" | "jpeg" => found.push(Picture { path, class: class as u8 }),
                _ => others += 1,
            }
        }
    }
    Ok((found, others))
}

/// The pictures as a data set, none if there are none, and those that were skipped.
#[expect(clippy::type_complexity, reason = "two lists, used once")]
fn load(
    pictures: &[Picture],
    names: &[String],
    config: &PackConfig,
    told: &mut dyn FnMut(usize, usize),
) -> Result<(Option<Dataset>, Vec<(PathBuf, String)>), DataError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(picture) = pictures.get(i) else { return done };
            let read = images::read_picture(&picture.path, config.shape, config.preparation);
            // Without skipping the first that is wrong is the end.
            if read.is_err() && !config.skip {
                next.store(pictures.len(), Ordering::Relaxed);
            }
            done.push((i, read));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut read = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            told(next.load(Ordering::Relaxed).min(pictures.len()), pictures.len());
            thread::sleep(std::time::Duration::from_millis(20));
        }
        // A reader that panics is a bug, and goes on as one.
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect::<Vec<_>>()
    });
    told(pictures.len(), pictures.len());
    // Whoever read them, they come in their order.
    read.sort_by_key(|(i, _)| *i);
    let (mut pixels, mut labels, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for (i, image) in read {
        match image {
            Ok(image) => {
                pixels.extend(image);
                labels.push(pictures[i].class);
            }
            Err(error) if config.skip => {
                skipped.push((pictures[i].path.clone(), error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    if labels.is_empty() {
        return Ok((None, skipped));
    }
    let dataset = Dataset::new(pixels, config.shape, labels, names.to_vec())?;
    Ok((Some(dataset.with_preparation(config.preparation)), skipped))
}

#[cfg(test)]
mod tests {
    use super::super::images::Gray;
    use super::*;

    /// A bright square or bar of its own size on a dark picture of its own size.
    fn draw(path: &Path, side: usize, [height, width]: [usize; 2]) {
        let inside = |at: usize, size: usize| at >= side / 4 && at < side / 4 + size;
        let pixels = (0..side * side)
            .map(|i| if inside(i / side, height) && inside(i % side, width) { 230 } else { 5 })
            .collect();
        Gray { height: side, width: side, pixels }.save_png(path).unwrap();
    }

    fn folder(classes: &[(&str, [usize; 2])], of_each: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, [height, width]) in classes {
            fs::create_dir_all(folder.path().join(name)).unwrap();
            for i in 0..of_each {
                let side = 30 + 7 * i;
                let path = folder.path().join(name).join(format!("{i}.PNG"));
                draw(&path, side, [height * side / 40, width * side / 40]);
            }
        }
        folder
    }

    #[test]
    fn a_folder_a_class_becomes_a_data_set_that_loads() {
        let made = folder(&[("10", [20, 4]), ("2", [4, 20]), ("x", [16, 16])], 10);
        fs::write(made.path().join("2/notes.txt"), "no picture").unwrap();
        fs::write(made.path().join("x/.hidden.png"), "no picture").unwrap();
        let mut last = (0, 0);
        let config = PackConfig::default();
        let mut told = |done, all| last = (done, all);
        let packed = from_pictures(made.path(), &config, &mut told).unwrap();
        assert_eq!((last, packed.others, packed.skipped.len()), ((30, 30), 1, 0));
        let out = made.path().join("deep/out");
        super::super::save_dir(&packed.train, &packed.test, &out).unwrap();
        let (train, test) = super::super::load_dir(&out).unwrap();
        assert_eq!(train.classes(), ["2", "10", "x"]);
        assert_eq!((train.class_counts(), test.class_counts()), (vec![8; 3], vec![2; 3]));
        // The bars of class 2 lie, those of 10 stand.
        let image = test.image(0);
        let bright_rows = image.chunks(28).filter(|row| row.iter().any(|&p| p > 128)).count();
        assert!(bright_rows < 10, "{bright_rows}");
        // Once more does not overwrite.
        let error =
            super::super::save_dir(&packed.train, &packed.test, &out).unwrap_err().to_string();
        assert!(error.contains("this one holds something"), "{error}");
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn train_and_test_of_its_own() {
        let made = folder(
            &[("train/a", [20, 4]), ("train/b", [4, 20]), ("test/a", [20, 4]), ("test/b", [4, 20])],
            3,
        );
        let packed = from_pictures(made.path(), &PackConfig::default(), &mut |_, _| {}).unwrap();
        assert_eq!((packed.train.len(), packed.test.len()), (6, 6));
        fs::create_dir(made.path().join("test/c")).unwrap();
        let error = from_pictures(made.path(), &PackConfig::default(), &mut |_, _| {});
        assert!(error.unwrap_err().to_string().contains("found \"c\" in one alone"));
    }

    #[test]
    fn what_is_no_folder_of_classes_is_refused() {
        let pack = |folder: &Path, skip| {
            let config = PackConfig { skip, ..PackConfig::default() };
            from_pictures(folder, &config, &mut |_, _| {})
        };
        let empty = tempfile::tempdir().unwrap();
        let error = pack(empty.path(), false).unwrap_err().to_string();
        assert!(error.contains("found no folder"), "{error}");
        assert!(pack(&empty.path().join("none"), false).is_err());
        let one = folder(&[("a", [20, 4])], 2);
        let error = pack(one.path(), false).unwrap_err().to_string();
        assert!(error.contains("only the folder \"a\""), "{error}");
        let made = folder(&[("a", [20, 4]), ("b", [4, 20])], 2);
        fs::write(made.path().join("b/bad.jpg"), "no picture").unwrap();
        let error = pack(made.path(), false).unwrap_err().to_string();
        assert!(error.contains("bad.jpg: a picture must be"), "{error}");
        let packed = pack(made.path(), true).unwrap();
        assert_eq!((packed.skipped.len(), packed.train.len()), (1, 2));
        fs::remove_file(made.path().join("b/0.PNG")).unwrap();
        let error = pack(made.path(), true).unwrap_err().to_string();
        assert!(error.contains("b: each class needs at least 2") && error.contains("found 1"));
    }
}
