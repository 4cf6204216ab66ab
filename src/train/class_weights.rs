//! Weights of classes in the training loss, for data in which some are rare.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;
use crate::data::Dataset;
use crate::f32_range;
use crate::message_text::{did_you_mean, number};

/// The weights of the classes in the training loss, which becomes Σ weight · loss / samples of a batch, as Keras's
/// `class_weight`. Validation and test losses are measured without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// n / (k · the class's samples) for n samples of k classes, so that all classes count the same (scikit-learn's
    /// `class_weight="balanced"`). A class without samples has no weight.
    Balanced,
    /// The weight of each class by its name, at least 0; of classes that are not named 1.
    Named(BTreeMap<String, f64>),
}

/// The setting's name in errors.
const SETTING: &str = "class weights";

impl ClassWeights {
    /// Checks each weight.
    ///
    /// # Errors
    /// The first that is negative, or that f32 does not hold; no weights at all.
    pub fn check(&self) -> Result<(), ConfigError> {
        let Self::Named(weights) = self else { return Ok(()) };
        let rule = "the weight of one class at least (leave them out if all count the same)";
        ConfigError::unless(!weights.is_empty(), SETTING, rule, "none")?;
        weights.iter().try_for_each(|(class, &weight)| check_weight(class, weight))
    }

    /// Returns the weight of each class of the training data.
    ///
    /// # Errors
    /// Targets that are no classes, or the name of none of its classes.
    pub fn of(&self, train: &Dataset) -> Result<Vec<f32>, ConfigError> {
        let kind = train.target_kind();
        ConfigError::unless(
            kind.is_class(),
            SETTING,
            "for targets that are classes (leave them out for others)",
            kind,
        )?;
        let (classes, counts) = (train.classes(), train.class_counts());
        let balanced = |count: usize| match count {
            0 => 0.0,
            count => train.len() as f64 / (classes.len() * count) as f64,
        };
        match self {
            Self::Balanced => Ok(counts.into_iter().map(|count| balanced(count) as f32).collect()),
            Self::Named(weights) => {
                if let Some(unknown) = weights.keys().find(|name| !classes.contains(name)) {
                    let cure =
                        did_you_mean(unknown, classes.iter().map(|name| (&name[..], &name[..])));
                    let rule = format!("for classes of the data, {} ({cure})", classes.join(", "));
                    ConfigError::unless(false, SETTING, &rule, format!("{unknown:?}"))?;
                }
                let weight = |class| weights.get(class).copied().unwrap_or(1.0) as f32;
                Ok(classes.iter().map(weight).collect())
            }
        }
    }
}

/// Checks the weight of one class.
fn check_weight(class: &str, weight: f64) -> Result<(), ConfigError> {
    let rules = [
        (weight >= 0.0, "at least 0, which leaves a class out".to_owned()),
        // Training would diverge with any learning rate.
        (f32_range::fits(weight), format!("such that they {}", f32_range::RULE)),
        // The class would be left out without a word.
        (!f32_range::vanishes(weight), "0 or at least 1.2e-38: smaller ones vanish in f32".into()),
    ];
    rules.into_iter().try_for_each(|(holds, rule)| {
        ConfigError::unless(holds, SETTING, &rule, format!("{} for {class:?}", number(weight)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> Dataset {
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        Dataset::new(vec![0; 7], [1, 1], vec![0, 0, 0, 0, 1, 1, 2], classes).unwrap()
    }

    /// sklearn.utils.class_weight.compute_class_weight("balanced", classes=[0, 1, 2], y=[0, 0, 0, 0, 1, 1, 2])
    #[test]
    fn balanced_weights_match_scikit_learn() {
        let weights = ClassWeights::Balanced.of(&data()).unwrap();
        assert_eq!(weights, [0.583_333_3, 1.166_666_6, 2.333_333_3]);
    }

    #[test]
    fn weights_by_name_are_checked() {
        let named = |name: &str, weight| ClassWeights::Named([(name.to_owned(), weight)].into());
        assert_eq!(named("b", 2.0).of(&data()).unwrap(), [1.0, 2.0, 1.0]);
        let error = named("d", 2.0).of(&data()).unwrap_err().to_string();
        let expected = "class weights must be for classes of the data, a, b, c (take one of these), found \"d\"";
        assert_eq!(error, expected);
        for (weight, rule) in [
            (-2.0, "at least 0, which leaves a class out, found -2"),
            (f64::NAN, "at least 0, which leaves a class out, found NaN"),
            (1e39, "such that they fit into f32 (at most 3.4e38), found 1e39"),
            (1e-300, "0 or at least 1.2e-38: smaller ones vanish in f32, found 1e-300"),
        ] {
            let error = named("b", weight).check().unwrap_err().to_string();
            assert_eq!(error, format!("class weights must be {rule} for \"b\""));
        }
        assert!(named("b", 0.0).check().is_ok());
        let error = ClassWeights::Named(BTreeMap::new()).check().unwrap_err().to_string();
        assert!(error.ends_with("(leave them out if all count the same), found none"), "{error}");
    }
}
