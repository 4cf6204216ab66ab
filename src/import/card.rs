//! The card that travels in seqfit's own files: JSON that says what the network is.

use serde::{Deserialize, Serialize};

use crate::model::Spec;

pub use crate::export::CARD;

/// The longest card that is read, in bytes.
const MOST: usize = 1 << 20;

/// What is taken from a card; it may say more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Spec>,
    /// Names of the classes, in the order of the network's outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Everything that it says, for people.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

impl Card {
    /// Reads a card. What cannot be read is no card: the weights stand without it, and the network that
    /// it should describe is checked against them anyway.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text.get(..text.len().min(MOST))?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_may_say_more_or_nothing() {
        let card = Card::read(br#"{"format": 9, "classes": ["a", "b"], "seeds": [1, 2]}"#);
        let card = card.unwrap_or_default();
        assert_eq!(card.classes.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert_eq!((card.network, card.rest.len()), (None, 2));
        for text in ["", "[", "3", r#"{"network": 3}"#] {
            assert_eq!(Card::read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Card::read("[".repeat(1 << 21).as_bytes()), None);
    }
}
