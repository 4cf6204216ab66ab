//! Where data sets are stored on this machine, and where they are downloaded from.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::catalog::{DatasetName, Entry};
use super::error::DataError;

/// Folders and mirrors; a plain value, so that a program or a test can have its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// A folder whose subfolders are data sets by name (`mnist/`; `emnist/` for all of EMNIST's), searched before the
    /// cache.
    pub data: Option<PathBuf>,
    /// The folder for downloads, which are saved to `data/<folder>/` in it; without one nothing can be
    /// downloaded.
    pub cache: Option<PathBuf>,
    /// Base URLs used in place of the known mirrors, for `<address>/<folder>/<file>`.
    pub mirrors: Option<Vec<String>>,
}

impl Locations {
    /// Reads the environment: `SEQFIT_DATA`; `SEQFIT_CACHE`, else `seqfit` in the user's cache
    /// folder (`XDG_CACHE_HOME`, else the system's usual folder, if there is a home folder);
    /// `SEQFIT_MIRROR`, addresses that are separated by commas. An empty variable counts as unset.
    ///
    /// # Errors
    /// A mirror is not an http or https address.
    pub fn from_env() -> Result<Self, DataError> {
        Self::from_lookup(|name| env::var_os(name))
    }

    fn from_lookup(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, DataError> {
        let path = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // XDG: a relative path is to be ignored.
        let absolute = |name: &str| path(name).filter(|path| path.is_absolute());
        let system = || {
            if cfg!(windows) {
                return absolute("LOCALAPPDATA");
            }
            let usual = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
            absolute("HOME").map(|home| home.join(usual))
        };
        let cache = path("SEQFIT_CACHE")
            .or_else(|| absolute("XDG_CACHE_HOME").or_else(system).map(|dir| dir.join("seqfit")));
        let mirrors = match path("SEQFIT_MIRROR") {
            None => None,
            Some(value) => Some(mirrors(&value.to_string_lossy())?),
        };
        Ok(Self { data: path("SEQFIT_DATA"), cache, mirrors })
    }

    /// Returns the folder for downloads of `name`, if there is a cache; it may not exist yet.
    pub fn cached(&self, name: DatasetName) -> Option<PathBuf> {
        self.cache.as_deref().map(|cache| cache.join("data").join(name.folder()))
    }

    /// Returns the folder of the user's own copy of `name`, if there is one.
    pub fn own(&self, name: DatasetName) -> Option<PathBuf> {
        self.own_place(name).filter(|dir| Path::is_dir(dir))
    }

    /// Returns the folder where the user's own copy of `name` is expected but missing.
    pub(super) fn missed(&self, name: DatasetName) -> Option<PathBuf> {
        self.own_place(name).filter(|dir| !Path::is_dir(dir))
    }

    fn own_place(&self, name: DatasetName) -> Option<PathBuf> {
        self.data.as_deref().map(|data| data.join(name.folder()))
    }

    /// Returns the base URLs of the files of `entry`, each ending in `/`.
    pub(super) fn mirrors_of(&self, entry: &Entry) -> Vec<String> {
        match &self.mirrors {
            Some(own) => own
                .iter()
                .map(|base| format!("{}/{}/", base.trim_end_matches('/'), entry.name.folder()))
                .collect(),
            None => entry.mirrors.iter().map(ToString::to_string).collect(),
        }
    }
}

fn mirrors(value: &str) -> Result<Vec<String>, DataError> {
    let addresses: Vec<String> = value
        .split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect();
    let is_http = |address: &String| {
        ["https://", "http://"]
            .iter()
            .any(|scheme| address.strip_prefix(scheme).is_some_and(|host| !host.is_empty()))
    };
    if addresses.is_empty() || !addresses.iter().all(is_http) {
        return Err(DataError::Environment {
            variable: "SEQFIT_MIRROR",
            rule: "one or more http or https addresses, separated by commas",
            found: value.to_owned(),
        });
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Locations, DataError> {
        Locations::from_lookup(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn the_cache_is_where_users_expect_it() {
        let cache = |variables: &[(&str, &str)]| with(variables).unwrap().cache.unwrap();
        let home = ("HOME", "/home/a");
        assert_eq!(cache(&[home]), Path::new("/home/a/.cache/seqfit"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/var/c")]), Path::new("/var/c/seqfit"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "c")]), Path::new("/home/a/.cache/seqfit"));
        assert_eq!(cache(&[home, ("SEQFIT_CACHE", "here")]), Path::new("here"));
        assert_eq!(cache(&[home, ("SEQFIT_CACHE", "")]), Path::new("/home/a/.cache/seqfit"));
        // Only a download needs one.
        let bare = with(&[("SEQFIT_DATA", "here")]).unwrap();
        assert_eq!((bare.cached(DatasetName::Mnist), bare.cache), (None, None));
        assert_eq!(bare.data.as_deref(), Some(Path::new("here")));
    }

    #[test]
    fn own_mirrors_replace_the_known_ones() {
        let entry = DatasetName::Mnist.entry();
        let locations = |value| with(&[("SEQFIT_CACHE", "c"), ("SEQFIT_MIRROR", value)]);
        assert_eq!(locations("").unwrap().mirrors_of(entry), entry.mirrors);
        assert_eq!(
            locations("https://a.example/x/, http://b.example").unwrap().mirrors_of(entry),
            ["https://a.example/x/mnist/", "http://b.example/mnist/"]
        );
        for value in ["a.example", "ftp://a.example", ",", "https://"] {
            let error = locations(value).unwrap_err().to_string();
            assert!(error.starts_with("SEQFIT_MIRROR must be one or more http"), "{error}");
        }
    }
}
