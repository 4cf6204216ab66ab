//! Settings that are read from files: recipes, and weights of classes.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use seqfit::ClassWeights;
use seqfit::recipe::Recipe;
use seqfit::text::{in_plain_words, with_line};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use super::super::output::Usage;

/// Returns the weights of classes that are balanced, or in a file.
pub fn class_weights(given: &Path) -> anyhow::Result<ClassWeights> {
    if given.as_os_str() == "balanced" {
        return Ok(ClassWeights::Balanced);
    }
    let name = given.display();
    let is_json = given.extension().is_some_and(|extension| extension == "json");
    let form = if is_json { "{\"class\": weight, …}" } else { "a line class = weight for each" };
    let wrong = || format!("{name} cannot be read as weights of classes: write {form}");
    // A line for each of 256 classes; a longer file is something else.
    let mut text = String::new();
    std::fs::File::open(given)
        .and_then(|file| file.take(1 << 20).read_to_string(&mut text))
        .with_context(wrong)?;
    let weights = match is_json {
        true => serde_json::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}", in_plain_words(&error.to_string()))),
        false => {
            toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}", with_line(&error, &text)))
        }
    };
    let EachOnce(weights) = weights.with_context(wrong)?;
    let weights = ClassWeights::Named(weights);
    weights.check().with_context(|| name.to_string())?;
    Ok(weights)
}

/// Numbers by name, each name once: JSON allows a name again, of which serde would take the last number.
struct EachOnce(BTreeMap<String, f64>);

impl<'de> Deserialize<'de> for EachOnce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = BTreeMap<String, f64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of numbers")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut numbers = BTreeMap::new();
                while let Some((name, number)) = map.next_entry::<String, f64>()? {
                    if let Some(before) = numbers.insert(name.clone(), number) {
                        return Err(M::Error::custom(format!(
                            "each class has one weight, found {before} and {number} for {name:?}"
                        )));
                    }
                }
                Ok(numbers)
            }
        }
        deserializer.deserialize_map(Names).map(Self)
    }
}

/// Loads a recipe by its name, or from a file if `recipe` looks like a path.
pub fn load_recipe(recipe: &Path) -> anyhow::Result<Recipe> {
    let name = recipe.display().to_string();
    if recipe.extension().is_none() && recipe.components().count() == 1 {
        return Ok(Recipe::named(&name).map_err(|error| Usage(error.to_string()))?);
    }
    // A recipe has a few lines; a longer file is something else.
    let mut text = String::new();
    std::fs::File::open(recipe)
        .and_then(|file| file.take(1 << 16).read_to_string(&mut text))
        .with_context(|| format!("{name} cannot be read as a recipe"))?;
    Ok(Recipe::from_toml(&name, &text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_classes_are_there_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text, message) in [
            ("a.json", r#"{"0": 2, "0": 3}"#, "each class has one weight, found 2 and 3 for \"0\""),
            ("b.json", "{}", "the weight of one class at least"),
            ("c.toml", "", "the weight of one class at least"),
            ("d.json", "[1]", "expected a table of numbers"),
            ("e.toml", "0 = 1\n0 = 2", "duplicate key"),
            ("f.json", r#"{"0": "2"}"#, "expected a number"),
        ] {
            let path = folder.path().join(file);
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", class_weights(&path).unwrap_err());
            assert!(error.contains(message) && error.contains(file), "{error}");
        }
    }
}
