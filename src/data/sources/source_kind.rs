//! A kind of data on disk: how its paths are recognized, and how it is loaded.

use std::path::Path;

use crate::data::arrays::{self, NamedArrays};
use crate::data::error::DataError;
use crate::data::source::{Loaded, LoadedTest, PathRequest};

/// A kind of files or folders that hold a data set. Each has its own file here, and one line in the list.
pub(in crate::data) struct SourceKind {
    /// Its description, for errors: "a file of NumPy arrays (.npz)".
    pub description: &'static str,
    /// Returns whether a path that exists is of this kind.
    pub recognizes: fn(&Path) -> bool,
    /// Loads both parts. The [`Source`](crate::data::Source) that is recorded loads them again: its folder, and the
    /// request's options in `arrays`.
    pub load: fn(&PathRequest) -> Result<Loaded, DataError>,
    /// Loads the test part, the only one that has to be there.
    pub load_test: fn(&PathRequest) -> Result<LoadedTest, DataError>,
}

impl SourceKind {
    /// Returns the kind of a file or a folder of named arrays.
    pub const fn of_arrays<T: NamedArrays>(
        description: &'static str,
        recognizes: fn(&Path) -> bool,
    ) -> Self {
        let (load, load_test) = (arrays::load::<T>, arrays::load_test::<T>);
        Self { description, recognizes, load, load_test }
    }
}
