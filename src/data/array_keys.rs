//! The names of the arrays of a data set.

use serde::{Deserialize, Serialize};

/// The names of the arrays in a `.npz` file, by default Keras's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArrayKeys {
    /// The training samples.
    pub x_train: String,
    /// Their targets.
    pub y_train: String,
    /// The test samples.
    pub x_test: String,
    /// Their targets.
    pub y_test: String,
    /// Weights of the training samples in the loss, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w_train: Option<String>,
    /// The names of the classes, labels or numbers that are the targets; by default `target_names`, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_names: Option<String>,
}

impl Default for ArrayKeys {
    fn default() -> Self {
        let [x_train, y_train, x_test, y_test] =
            ["x_train", "y_train", "x_test", "y_test"].map(ToOwned::to_owned);
        Self { x_train, y_train, x_test, y_test, w_train: None, target_names: None }
    }
}
