//! The error of a callback.

/// A callback's error; it ends the training.
pub type CallbackError = Box<dyn std::error::Error + Send + Sync>;
