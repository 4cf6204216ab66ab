//! The description of the served network.

use serde::Serialize;

use crate::data::Preparation;

/// The description of the served network, for users and for `/health`.
#[derive(Clone, Debug)]
pub struct Card {
    /// A name for the network, such as its run folder.
    pub name: String,
    /// The names of the classes, in the order of the network's outputs.
    pub classes: Vec<String>,
    /// How pictures become images, unless a request says otherwise.
    pub preparation: Preparation,
    /// The data set that it was trained on, and the accuracy on its test set.
    pub accuracy: Option<(String, f64)>,
}

/// The description of the network in `/health` and on the page.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    pub name: String,
    /// [height, width]
    pub input: [usize; 2],
    pub classes: Vec<String>,
    /// How pictures become images, unless a request says otherwise.
    pub preparation: Preparation,
    pub parameters: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_accuracy: Option<f64>,
}
