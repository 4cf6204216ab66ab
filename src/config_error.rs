//! The rules of settings, and the error for a setting that breaks one.

/// A setting that breaks a rule.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{setting} must be {rule}, found {found}")]
pub struct ConfigError {
    /// The setting's name.
    pub setting: &'static str,
    /// The rule it breaks.
    pub rule: String,
    /// The value found.
    pub found: String,
}

/// The reason an engine does not take a training: the setting to change.
pub(crate) type Unsupported = ConfigError;

impl ConfigError {
    /// Returns the error of an engine for a network, a loss or a device that it does not take; `rule` names the
    /// engines that do.
    pub(crate) fn engine(found: &str, rule: impl Into<String>) -> Unsupported {
        Self { setting: "engine", rule: rule.into(), found: found.to_owned() }
    }

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
