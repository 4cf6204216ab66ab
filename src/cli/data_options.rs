//! The options that select a data set, and whether it is streamed from its files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use seqfit::data::{
    ArrayKeys, DataError, DatasetName, PathRequest, PictureOptions, Preparation, Request,
    StreamMemory, TargetKind,
};

use super::image_options::preparation;
use super::output::quoted;
use super::parse_values::{self, Names, Size, side_or_size};

/// Selects the data set.
#[derive(Clone, Debug, Args)]
pub struct DataOptions {
    /// A known data set: mnist, fashion-mnist, kmnist, cifar10, cifar100, emnist-letters (or -balanced, -byclass,
    /// -bymerge, -digits, -mnist) or digits (built in)
    #[arg(long, value_name = "NAME", conflicts_with = "data_dir", value_parser = dataset)]
    pub dataset: Option<DatasetName>,
    /// A folder of pictures with a folder for each class, also in train and test; or of IDX files:
    /// {train,t10k}-{images-idx3,labels-idx1}-ubyte, .gz or not, and optionally classes.txt with one class name per
    /// line
    #[arg(long, value_name = "DIR", value_parser = data_dir, group = "own_data")]
    pub data_dir: Option<PathBuf>,
    /// Your own data: a file of arrays, such as a NumPy .npz file of x_train and y_train, and optionally x_test and
    /// y_test (u8 pictures or numbers of any shape; classes, several labels or numbers as targets); or a folder, as
    /// for --data-dir
    #[arg(long, value_name = "PATH", conflicts_with_all = ["dataset", "data_dir"], group = "own_data", value_parser = data_path)]
    pub data: Option<PathBuf>,
    /// The names of the arrays in --data if they are others: x_train=images,y_train=labels; w_train=NAME for weights of
    /// the training samples in the loss; target_names=NAME for an array of names, as for --target-names
    #[arg(long, value_name = "KEY=NAME,…", requires = "data", value_parser = array_keys)]
    pub keys: Option<ArrayKeys>,
    /// Kind of the targets in --data: one class (also as one-hot rows), several labels (0 or 1 each) or numbers [default: what their
    /// type and shape suggest]
    #[arg(long, value_name = "KIND", requires = "data", value_parser = parse_values::task())]
    pub task: Option<TargetKind>,
    /// Names of the classes, labels or numbers that are the targets in --data, in their order [default: the text in
    /// the array target_names or in classes.txt beside .npy files, else their numbers]
    #[arg(long, value_name = "NAME,…", requires = "data", value_parser = parse_values::names)]
    pub target_names: Option<Names>,
    /// Height and width of the images that pictures in folders become; one number for both [default: their own if all
    /// have the same up to 96, else 64x64, or 32x32 for small ones; 28x28 for gray signs]
    #[arg(long, value_name = "HxW", requires = "own_data", value_parser = side_or_size)]
    pub image_size: Option<Size>,
    /// How pictures in folders become images, which predict and serve follow later: raw (of this size, taken
    /// unchanged), digit (one sign, found, cropped and centered, bright on black), resize (the whole picture, scaled),
    /// crop (its middle, scaled) or letterbox (scaled in its proportions, on black) [default: raw, digit or resize,
    /// by what the pictures are]
    #[arg(long, value_name = "KIND", requires = "own_data", value_parser = preparation(), hide_possible_values = true)]
    pub prepare: Option<Preparation>,
    /// Turn pictures in folders gray, even if they are in color
    #[arg(long, requires = "own_data")]
    pub gray: bool,
    /// Skip pictures in folders that cannot be used, and name them
    #[arg(long, requires = "own_data")]
    pub skip_bad: bool,
}

impl DataOptions {
    /// Returns the requested data, `Auto` by default.
    pub fn request(&self) -> Request {
        let pictures = PictureOptions {
            size: self.image_size.map(|size| size.0),
            preparation: self.prepare,
            gray: self.gray.then_some(true),
            skip_bad: self.skip_bad,
        };
        if let Some(path) = &self.data {
            let keys = self.keys.clone().unwrap_or_default();
            let target_names = self.target_names.clone().map(|Names(names)| names);
            let (targets, request) = (self.task, PathRequest::new(path));
            return Request::Path(PathRequest { keys, targets, target_names, pictures, ..request });
        }
        match (&self.dataset, &self.data_dir) {
            (_, Some(dir)) if !pictures.is_default() => {
                Request::Path(PathRequest { pictures, ..PathRequest::new(dir) })
            }
            (_, Some(dir)) => Request::Dir(dir.clone()),
            (Some(name), None) => Request::Named(*name),
            (None, None) => Request::Auto,
        }
    }
}

/// Parses the names of arrays, such as `x_train=images,y_train=labels`; the others keep their usual names.
pub fn array_keys(text: &str) -> Result<ArrayKeys, String> {
    let mut keys = ArrayKeys::default();
    let mut seen = BTreeSet::new();
    for part in text.split(',') {
        let (key, name) = part.split_once('=').unwrap_or((part, ""));
        if !seen.insert(key) {
            return Err(format!("each key is given once, found {key} again: leave one out"));
        }
        let place = match key {
            "x_train" => &mut keys.x_train,
            "y_train" => &mut keys.y_train,
            "x_test" => &mut keys.x_test,
            "y_test" => &mut keys.y_test,
            "w_train" => keys.w_train.get_or_insert_default(),
            "target_names" => keys.target_names.get_or_insert_default(),
            _ => {
                return Err(format!(
                    "the keys are x_train, y_train, x_test, y_test, w_train and target_names, found {key:?}"
                ));
            }
        };
        if name.is_empty() {
            return Err(format!("a key is followed by = and the name of an array, found {part:?}"));
        }
        name.clone_into(place);
    }
    Ok(keys)
}

/// Parses the name of a known data set; the error for a folder names the option for folders.
fn dataset(text: &str) -> Result<DatasetName, String> {
    text.parse().map_err(|error: DataError| match error {
        _ if is_array_file(Path::new(text)) => format!(
            "the option takes the name of a known data set, found a file: {}",
            cure_for_file(Path::new(text))
        ),
        _ if is_path(text) => format!(
            "the option takes the name of a known data set, found a path: use --data-dir {}",
            quoted(Path::new(text))
        ),
        DataError::UnknownName { similar: None, .. } => {
            format!("{error}, or give the folder of your own files with --data-dir")
        }
        error => error.to_string(),
    })
}

/// Parses the path of a folder; the error for the name of a known data set names the option for those.
fn data_dir(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match text.parse::<DatasetName>() {
        Ok(name) if !path.exists() => Err(format!(
            "the option takes a folder, and {name} does not exist: use --dataset {name} for the known data set"
        )),
        _ if path.is_file() || is_array_file(&path) && !path.is_dir() => {
            Err(format!("the option takes a folder, found a file: {}", cure_for_file(&path)))
        }
        _ => Ok(path),
    }
}

/// Parses the path of the user's own data; the errors name what was probably meant.
fn data_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match text.parse::<DatasetName>() {
        Ok(name) if !path.exists() => Err(format!(
            "the option takes a file or folder, and {name} does not exist: use --dataset {name} for the known data set"
        )),
        _ if is_npy(&path) && !path.is_dir() => Err(format!(
            "the option takes a file of several arrays or a folder, found a single array: {}",
            cure_for_file(&path)
        )),
        _ => Ok(path),
    }
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|end| end.eq_ignore_ascii_case("npy"))
}

/// Returns whether a path ends as files of arrays do.
fn is_array_file(path: &Path) -> bool {
    let ends = ["npz", "npy", "safetensors"];
    path.extension().is_some_and(|end| ends.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

/// Returns the option for a file, or for the folder that it is in.
fn cure_for_file(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = quoted(folder.unwrap_or(Path::new(".")));
    match (is_npy(path), is_array_file(path)) {
        (true, _) => format!("use --data {folder}, if it holds x_train.npy and y_train.npy"),
        (false, true) => format!("use --data {}", quoted(path)),
        (false, false) => format!("give the folder that holds it, {folder}"),
    }
}

/// Like [`dataset`], for a download, which a folder needs none of.
pub fn dataset_to_fetch(text: &str) -> Result<DatasetName, String> {
    text.parse().map_err(|error: DataError| match error {
        _ if is_path(text) => format!(
            "only known data sets are downloaded, found a path: your own files need no download, so use them with \
             seqfit train --data-dir {}",
            quoted(Path::new(text))
        ),
        error => error.to_string(),
    })
}

/// Returns whether a text that is not a known name is meant as a path. A URL is not one.
fn is_path(text: &str) -> bool {
    let looks_like_one = text.contains(['/', '\\']) && !text.contains("://");
    looks_like_one || !text.is_empty() && Path::new(text).is_dir()
}

/// Selects whether the data is streamed from its files.
#[derive(Clone, Copy, Debug, Args)]
pub struct StreamOptions {
    /// Read the images from their files when they are needed, with at most MIB in memory: for data larger
    /// than memory, in shards (see seqfit data shard) or four plain IDX files [default MIB: 64]
    #[arg(long, value_name = "MIB", num_args = 0..=1, require_equals = true, default_missing_value = "64")]
    pub stream: Option<StreamMemory>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        let keys = array_keys("x_train=a,y_train=b").unwrap();
        assert_eq!((keys.x_train.as_str(), keys.y_train.as_str()), ("a", "b"));
        let error = array_keys("x_train=a,x_train=b").unwrap_err();
        assert_eq!(error, "each key is given once, found x_train again: leave one out");
    }
}
