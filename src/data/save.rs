//! A data set written into a folder, as `load_dir` reads it.

use std::fs;
use std::io;
use std::path::Path;

use super::dataset::Dataset;
use super::error::{DataError, FolderProblem};
use super::folder::Role;
use super::{classes, idx};
use crate::files;

/// Writes a data set into `folder`, which is new or empty: four IDX files and `classes.txt`, all or none.
///
/// # Errors
/// A folder that holds something, or that cannot be written.
pub fn save_dir(train: &Dataset, test: &Dataset, folder: &Path) -> Result<(), DataError> {
    check_free(folder)?;
    let at = |source| DataError::write(folder, source);
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(at)?;
    let growing = tempfile::Builder::new().prefix(".seqfit-").suffix(".part").tempdir_in(parent);
    let growing = growing.map_err(at)?;
    let write = |name: &str, bytes: &[u8]| {
        files::write(&growing.path().join(name), bytes)
            .map_err(|error| DataError::write(&folder.join(name), error.source))
    };
    for (dataset, roles) in [
        (train, [Role::TrainImages, Role::TrainLabels]),
        (test, [Role::TestImages, Role::TestLabels]),
    ] {
        let samples = 0..dataset.len();
        let pixels: Vec<u8> = samples.clone().flat_map(|i| dataset.image(i).to_vec()).collect();
        let labels: Vec<u8> = samples.map(|i| dataset.label(i)).collect();
        let shape = dataset.image_shape().map(|size| size as u32);
        let [images_name, labels_name] = roles.map(|role| role.names().swap_remove(0));
        write(&images_name, &idx::encode_images(labels.len() as u32, shape, &pixels))?;
        write(&labels_name, &idx::encode_labels(&labels))?;
    }
    write(classes::FILE, (train.classes().join("\n") + "\n").as_bytes())?;
    // A folder for its owner's eyes alone would be a surprise.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let like = fs::metadata(parent).map_err(at)?.permissions().mode();
        let mode = fs::Permissions::from_mode(like & 0o777);
        fs::set_permissions(growing.path(), mode).map_err(at)?;
    }
    fs::rename(growing.path(), folder).map_err(at)?;
    // It has another name now, and stays.
    let _ = growing.keep();
    Ok(())
}

/// Whether a data set can be written here.
///
/// # Errors
/// [`FolderProblem::Taken`], or a folder that cannot be read.
pub fn check_free(folder: &Path) -> Result<(), DataError> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(DataError::folder(folder, FolderProblem::Taken("is a file")))
        }
        Err(source) => Err(DataError::read(folder, source)),
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(DataError::folder(folder, FolderProblem::Taken("holds something"))),
        },
    }
}
