//! The card in seqfit's own files: JSON that describes the network.

use serde::{Deserialize, Serialize};

use crate::data::{FeatureKind, Preparation};
use crate::model::Spec;

pub use crate::export::CARD;

/// The longest card that is read, in bytes.
const MOST: usize = 1 << 20;

/// The fields read from a card; it may have more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Spec>,
    /// Names of the classes, labels or numbers, in the order of the network's outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// All its fields, for display.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

impl Card {
    /// Returns how pictures are converted to the network's input: as recorded in the card; for an older card without
    /// it, the catalog's preparation for the data that the card names.
    pub fn preparation(&self) -> Option<Preparation> {
        let named = self.text("/input/preparation").and_then(|name| name.parse().ok());
        named.or_else(|| Preparation::of_name(self.text("/training/data/name")?))
    }

    /// Returns what the network's samples are: pixels for a card of an older seqfit, which did not say it, and none for
    /// a description by another program.
    pub fn features(&self) -> Option<FeatureKind> {
        let input = self.rest.get("input").and_then(serde_json::Value::as_object);
        match input {
            Some(input) if input.contains_key("dtype") && !input.contains_key("range") => {
                Some(FeatureKind::Floats)
            }
            _ => (!self.rest.is_empty()).then_some(FeatureKind::Pixels),
        }
    }

    /// Returns the text at a JSON pointer in the rest of the card.
    fn text(&self, pointer: &str) -> Option<&str> {
        let (first, inner) = pointer.strip_prefix('/')?.split_once('/')?;
        self.rest.get(first)?.pointer(&format!("/{inner}"))?.as_str()
    }

    /// Reads a card. An unreadable one counts as none: the weights are usable without it, and the network that
    /// it should describe is checked against them anyway.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text.get(..text.len().min(MOST))?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preparation_is_the_cards_own_or_that_of_the_data_it_names() {
        let of = |text: &str| Card::read(text.as_bytes()).and_then(|card| card.preparation());
        let named = |name: &str| format!(r#"{{"training": {{"data": {{"name": "{name}"}}}}}}"#);
        assert_eq!(of(r#"{"input": {"preparation": "resize"}}"#), Some(Preparation::Resize));
        assert_eq!(of(&named("mnist")), Some(Preparation::Digit));
        assert_eq!(of(&named("fashion-mnist")), Some(Preparation::Raw));
        assert_eq!(of(&named("cats")), None);
        for text in [r#"{"input": {"preparation": "new"}}"#, r#"{"input": 3}"#, "{}"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

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
