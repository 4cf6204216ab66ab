//! A kind of data on disk: how its paths are recognized, and how it is loaded.

use std::path::Path;

use crate::data::Locations;
use crate::data::array_keys::ArrayKeys;
use crate::data::arrays::{self, NamedArrays};
use crate::data::error::{DataError, FolderProblem};
use crate::data::features::Features;
use crate::data::source::{Loaded, LoadedTest, PathRequest};
use crate::data::targets::TargetKind;

/// A kind of files or folders that hold a data set. Each has its own file here, and one line in the list.
pub(in crate::data) struct SourceKind {
    /// Its description, for errors: "a file of NumPy arrays (.npz)".
    pub description: &'static str,
    /// Returns whether a path that exists is of this kind.
    pub recognizes: fn(&Path) -> bool,
    /// Loads both parts; the cache folder may keep what takes long to compute. The [`Source`](crate::data::Source) that is recorded loads them again: its folder, and the
    /// request's options in `arrays`.
    pub load: fn(&PathRequest, &Locations) -> Result<Loaded, DataError>,
    /// Loads the test part, the only one that has to be there.
    pub load_test: fn(&PathRequest, &Locations) -> Result<LoadedTest, DataError>,
    /// Reads the samples in the first array of these names; none for a kind that has no arrays.
    pub load_features: Option<LoadFeatures>,
}

/// Reads the samples in one of several arrays. Of several arrays the name of that one is returned as well.
pub(in crate::data) type LoadFeatures =
    fn(&Path, &[&str]) -> Result<(Features, Option<String>), DataError>;

impl SourceKind {
    /// Returns the kind of a file or a folder of named arrays.
    pub const fn of_arrays<T: NamedArrays>(
        description: &'static str,
        recognizes: fn(&Path) -> bool,
    ) -> Self {
        Self {
            description,
            recognizes,
            load: |request, _| arrays::load::<T>(no_pictures(request)?),
            load_test: |request, _| arrays::load_test::<T>(no_pictures(request)?),
            load_features: Some(arrays::features_in::<T>),
        }
    }
}

/// Returns the request, if it has no options of pictures.
///
/// # Errors
/// It has.
pub(in crate::data) fn no_pictures(request: &PathRequest) -> Result<&PathRequest, DataError> {
    match request.pictures.is_default() {
        true => Ok(request),
        false => {
            const PROBLEM: &str = "--image-size, --prepare, --gray and --skip-bad are for folders of pictures, and this is other data";
            Err(DataError::folder(&request.path, FolderProblem::Options(PROBLEM)))
        }
    }
}

/// Checks that a request of pictures with classes has no options of other data.
///
/// # Errors
/// Those of pictures in folders; `problem`: those of arrays.
pub(in crate::data) fn no_options(
    request: &PathRequest,
    problem: &'static str,
) -> Result<(), DataError> {
    no_pictures(request)?;
    let wrong_kind = matches!(request.targets, Some(TargetKind::Labels | TargetKind::Numbers));
    let names_arrays = request.keys != ArrayKeys::default() || request.target_names.is_some();
    match names_arrays || wrong_kind {
        true => Err(DataError::folder(&request.path, FolderProblem::Options(problem))),
        false => Ok(()),
    }
}
