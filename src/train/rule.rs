//! What a setting must be, and what is said when it is not.

/// A setting that breaks a rule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{setting} must be {rule}, found {found}")]
pub struct ConfigError {
    /// The setting's name.
    pub setting: &'static str,
    /// What it must be.
    pub rule: String,
    /// What it is.
    pub found: String,
}

impl ConfigError {
    pub(crate) fn unless(
        holds: bool,
        setting: &'static str,
        rule: &str,
        found: impl ToString,
    ) -> Result<(), Self> {
        if holds {
            Ok(())
        } else {
            Err(Self { setting, rule: rule.to_owned(), found: found.to_string() })
        }
    }
}
