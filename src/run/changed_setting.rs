//! A difference between two runs in a setting.

use std::fmt;

use serde_json::Value;

/// A setting that has changed since the run started.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The setting's path in `config.toml`: "fit.batch_size".
    pub setting: String,
    /// Its value when the run started; null if it had none.
    pub began: Value,
    /// Its value now.
    pub found: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, began, found } = self;
        write!(f, "{setting} was {began}, found {found}")
    }
}
