//! The rules of settings, and the error for a setting that breaks one.

use crate::f32_range;
use crate::message_text::number;

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

    /// Returns an error unless a setting is above 0 and not too large for the computation.
    pub(crate) fn above_0(setting: &'static str, value: f64) -> Result<(), Self> {
        Self::unless_fits(value > 0.0, setting, "above 0", value)
    }

    /// Returns an error unless a setting is at least 0 and not too large for the computation.
    pub(crate) fn at_least_0(setting: &'static str, value: f64) -> Result<(), Self> {
        Self::unless_fits(value >= 0.0, setting, "at least 0", value)
    }

    /// Returns an error unless a setting is not too large for the computation, and the rest of its rule holds.
    pub(crate) fn unless_fits(
        holds: bool,
        setting: &'static str,
        rule: &str,
        value: f64,
    ) -> Result<(), Self> {
        let (holds, rule) =
            (holds && f32_range::fits(value), format!("{rule} and {}", f32_range::RULE));
        Self::unless(holds, setting, &rule, number(value))
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
