//! What training keeps beside the network in a checkpoint.

use super::pickle::{Id, Pickle, Value};

/// Words in the keys of an optimizer's state and of others that training keeps beside the network.
const ASIDE: [&str; 14] = [
    "opt",
    "ema",
    "swa",
    "rng",
    "amp",
    "loops",
    "loss",
    "losses",
    "criterion",
    "metric",
    "metrics",
    "args",
    "config",
    "hyper",
];
/// Parts of such words.
const ASIDE_PARTS: [&str; 5] = ["optim", "sched", "scaler", "history", "callback"];

/// Returns whether a value under this key belongs to the training, not to the network: an optimizer's state, say.
pub(super) fn is_aside(pickle: &Pickle<'_>, key: &str, value: Id) -> bool {
    let key = key.to_lowercase();
    let mut words = key.split(|c: char| !c.is_alphanumeric());
    let is_optimizer = || match pickle.get(value) {
        Value::Dict(pairs) => {
            pairs.iter().any(|&(key, _)| pickle.get(key) == &Value::Text("param_groups"))
        }
        _ => false,
    };
    words.any(|word| ASIDE.contains(&word) || ASIDE_PARTS.iter().any(|part| word.contains(part)))
        || is_optimizer()
}
