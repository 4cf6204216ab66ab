//! Settings that are read from files: recipes, and weights of classes.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use seqfit::ClassWeights;
use seqfit::recipe::Recipe;
use seqfit::text::with_line;

use super::super::output::Usage;

/// Returns the weights of classes that are balanced, or in a file.
pub fn class_weights(given: &Path) -> anyhow::Result<ClassWeights> {
    if given.as_os_str() == "balanced" {
        return Ok(ClassWeights::Balanced);
    }
    let name = given.display();
    let wrong = || {
        format!("{name} cannot be read as weights of classes: write a line class = weight for each")
    };
    // A line for each of 256 classes; a longer file is something else.
    let mut text = String::new();
    std::fs::File::open(given)
        .and_then(|file| file.take(1 << 20).read_to_string(&mut text))
        .with_context(wrong)?;
    let weights = match given.extension() {
        Some(extension) if extension == "json" => {
            serde_json::from_str(&text).with_context(wrong)?
        }
        _ => toml::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{}", with_line(&error, &text)))
            .with_context(wrong)?,
    };
    let weights = ClassWeights::Named(weights);
    weights.check().with_context(|| name.to_string())?;
    Ok(weights)
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
