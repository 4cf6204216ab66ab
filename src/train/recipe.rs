//! Recipes: named sets of training settings, as TOML.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::config::{FitConfig, OnNan};
use crate::data::{PictureKind, Preparation, Source};
use crate::message_text::{in_plain_words, similar, with_line};
use crate::model::LayerList;

/// A named set of training settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Its name, or the file it came from.
    pub name: String,
    /// Its purpose in one line, if it states one.
    pub description: Option<String>,
    /// The images that its settings were chosen on, if it is not for all.
    pub tuned_for: Option<PictureKind>,
    /// The layers of the network that it trains, unless another is asked for.
    pub layers: Option<LayerList>,
    /// The settings; seed and threads are the defaults, unless a file says otherwise.
    pub fit: FitConfig,
}

/// The lines of a recipe that are not settings.
#[derive(Deserialize, Serialize)]
struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tuned_for: Option<PictureKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<LayerList>,
}

/// The reason a text is not a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// No recipe of this name is built in.
    #[error("the recipes are {known}, found {0:?}: {cure}", known = Recipe::name_list(), cure = cure(.0))]
    Unknown(String),
    /// A text that is not a recipe.
    #[error("{name} is not a recipe: {message}")]
    Text {
        /// The file's name.
        name: String,
        /// The parser's message, or the rule that is broken.
        message: String,
    },
}

/// The recipe of folders of photographs for which no other is asked for.
const PHOTOS: &str = "photos";

const BUILT_IN: [(&str, &str); 7] = [
    ("tutorial", include_str!("recipes/tutorial.toml")),
    ("ten", include_str!("recipes/ten.toml")),
    ("fast99", include_str!("recipes/fast99.toml")),
    ("best", include_str!("recipes/best.toml")),
    ("cnn", include_str!("recipes/cnn.toml")),
    ("fashion", include_str!("recipes/fashion.toml")),
    (PHOTOS, include_str!("recipes/photos.toml")),
];

fn cure(found: &str) -> String {
    match similar(found, Recipe::names()) {
        Some(name) => format!("did you mean {name}?"),
        None => "take one of these, or give a .toml file".to_owned(),
    }
}

impl Recipe {
    /// Returns the names of the built-in recipes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.into_iter().map(|(name, _)| name)
    }

    /// Returns the names as a list in words: "tutorial, ten, …".
    pub fn name_list() -> String {
        BUILT_IN.map(|(name, _)| name).join(", ")
    }

    /// Returns the built-in recipe of this name.
    ///
    /// # Errors
    /// A name that no recipe has.
    pub fn named(name: &str) -> Result<Self, RecipeError> {
        match BUILT_IN.into_iter().find(|(own, _)| *own == name) {
            Some((name, text)) => Self::from_toml(name, text),
            None => Err(RecipeError::Unknown(name.to_owned())),
        }
    }

    /// Returns the built-in recipe that data is trained with if nothing else is asked for: `photos` for photographs, which
    /// are in color or scaled to one size; none for all others, which are trained as in the tutorial.
    ///
    /// # Errors
    /// None of a built-in recipe.
    pub fn usual_for(data: &Source) -> Result<Option<Self>, RecipeError> {
        use Preparation::{Crop, Letterbox, Resize};
        let is_photos = match data.pictures {
            Some(pictures) => {
                let is_scaled = matches!(pictures.preparation, Some(Resize | Crop | Letterbox));
                is_scaled || pictures.gray == Some(false)
            }
            None => PictureKind::of(data) == Some(PictureKind::Photos),
        };
        is_photos.then(|| Self::named(PHOTOS)).transpose()
    }

    /// Reads a recipe from TOML.
    ///
    /// `description`, `tuned_for` and `layers` are optional. The settings of [`FitConfig`] have the names that they
    /// have in `config.toml`'s `[fit]`; omitted ones are the tutorial's. A `[schedule]` or an
    /// `[optimizer]` with another name than the tutorial's begins with that name's defaults.
    ///
    /// # Errors
    /// The first error in the text, or the first setting that breaks its rule.
    pub fn from_toml(name: &str, text: &str) -> Result<Self, RecipeError> {
        let wrong = |message: String| RecipeError::Text { name: name.to_owned(), message };
        let mut given: Table =
            toml::from_str(text).map_err(|error| wrong(with_line(&error, text)))?;
        let about = ["description", "tuned_for", "layers"].into_iter();
        let about: Table = about.filter_map(|key| given.remove_entry(key)).collect();
        let About { description, tuned_for, layers } = about
            .try_into()
            .map_err(|error: toml::de::Error| wrong(in_plain_words(error.message())))?;
        let fit = overlay(&FitConfig::default(), given).map_err(wrong)?;
        fit.check().map_err(|error| wrong(error.to_string()))?;
        if fit.on_nan == OnNan::Ignore {
            let rule = "on_nan must be stop or rollback, found ignore: it is for programs with a callback of their \
                        own, such as TerminateOnNan";
            return Err(wrong(rule.to_owned()));
        }
        Ok(Self { name: name.to_owned(), description, tuned_for, layers, fit })
    }

    /// Returns all settings and the description as TOML.
    ///
    /// # Errors
    /// Settings that TOML cannot hold; no valid setting is one.
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        let (description, layers) = (self.description.clone(), self.layers.clone());
        let about = About { description, tuned_for: self.tuned_for, layers };
        let wrong = |error: toml::ser::Error| RecipeError::Text {
            name: self.name.clone(),
            message: error.to_string(),
        };
        let settings = toml::to_string(&self.fit).map_err(wrong)?;
        Ok(toml::to_string(&about).map_err(wrong)? + &settings)
    }
}

/// Returns `base` with the values of `given` in place of those of `base`, table by table. A table with
/// another `name` replaces the one in `base`, on top of that name's defaults.
///
/// # Errors
/// The setting that does not fit, as a message.
pub fn overlay<T: Serialize + for<'a> Deserialize<'a>>(
    base: &T,
    given: Table,
) -> Result<T, String> {
    let mut table = Table::try_from(base).map_err(|error| error.to_string())?;
    merge(&mut table, given);
    table.try_into().map_err(|error: toml::de::Error| in_plain_words(error.message()))
}

fn merge(base: &mut Table, given: Table) {
    if given.get("name").is_some_and(|name| base.get("name") != Some(name)) {
        *base = defaults_of(given.get("name"));
    }
    for (key, value) in given {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(own)), Value::Table(value)) => {
                merge(own, value);
            }
            // An integer is accepted where a float is expected.
            (Some(own @ Value::Float(_)), Value::Integer(value)) => {
                *own = Value::Float(value as f64)
            }
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

/// Returns the default settings of a named optimizer or schedule.
fn defaults_of(name: Option<&Value>) -> Table {
    use super::optimizer::{Adam, AdamW, Optimizer, RmsProp, Sgd};
    use super::schedule::Schedule;
    let table = match name.and_then(Value::as_str) {
        Some("adam") => Table::try_from(Optimizer::Adam(Adam::default())),
        Some("adamw") => Table::try_from(Optimizer::AdamW(AdamW::default())),
        Some("sgd") => Table::try_from(Optimizer::Sgd(Sgd::default())),
        Some("rmsprop") => Table::try_from(Optimizer::RmsProp(RmsProp::default())),
        Some("step") => Table::try_from(Schedule::Step { every: 5, factor: 0.5 }),
        Some("cosine") => Table::try_from(Schedule::Cosine { warm_up: 0.05, end: 0.0 }),
        Some("one-cycle") => {
            Table::try_from(Schedule::OneCycle { warm_up: 0.3, start: 0.04, end: 4e-6 })
        }
        _ => Ok(Table::new()),
    };
    // The parser refuses unknown names.
    table.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AdamW, Optimizer, Schedule};

    #[test]
    fn the_tutorial_is_the_default_and_all_recipes_round_trip() {
        assert_eq!(Recipe::named("tutorial").unwrap().fit, FitConfig::default());
        for name in Recipe::names() {
            let recipe = Recipe::named(name).unwrap();
            assert_eq!(Recipe::from_toml(name, &recipe.to_toml().unwrap()), Ok(recipe));
        }
    }

    #[test]
    fn photos_of_any_size_fit_the_recipe_for_them() {
        let recipe = Recipe::named(PHOTOS).unwrap();
        let layers = recipe.layers.unwrap();
        for shape in [&[3, 1, 1][..], &[3, 5, 7], &[3, 96, 96], &[3, 200, 10], &[30, 40]] {
            layers.spec(shape, 3).unwrap().check().unwrap();
        }
    }

    #[test]
    fn omitted_settings_are_the_tutorials_or_the_names_defaults() {
        let text = "epochs = 3\n[optimizer]\nname = \"adamw\"\nlearning_rate = 1\n[schedule]\nname = \
                    \"one-cycle\"\nwarm_up = 0.1\n[augment]\nrotation = 5\n";
        let fit = Recipe::from_toml("mine.toml", text).unwrap().fit;
        assert_eq!((fit.epochs, fit.batch_size, fit.augment.rotation), (3, 32, 5.0));
        let adamw = AdamW { learning_rate: 1.0, ..AdamW::default() };
        assert_eq!(fit.optimizer, Optimizer::AdamW(adamw));
        assert_eq!(fit.schedule, Schedule::OneCycle { warm_up: 0.1, start: 0.04, end: 4e-6 });
    }

    #[test]
    fn invalid_recipes_are_refused() {
        for (text, message) in [
            ("epochs = ", "mine.toml is not a recipe: "),
            ("epoch = 3", "unknown field `epoch`"),
            ("epochs = \"ten\"", "invalid type"),
            ("tuned_for = \"cats\"", "unknown variant `cats`"),
            ("description = 3", "invalid type"),
            ("epochs = 0", "epochs must be at least 1, found 0"),
            ("[optimizer]\nname = \"lion\"", "unknown variant `lion`"),
            ("on_nan = \"ignore\"", "on_nan must be stop or rollback, found ignore"),
            ("[augment]\nscale = 1.5", "augment scale must be from 0 to 0.9, found 1.5"),
            ("[augment]\nrandaugment = 31", "augment randaugment must be from 0 to 30, found 31"),
        ] {
            let error = Recipe::from_toml("mine.toml", text).unwrap_err().to_string();
            assert!(error.contains(message), "{error} for {message}");
        }
        let error = Recipe::named("fast").unwrap_err().to_string();
        let end = "tutorial, ten, fast99, best, cnn, fashion, photos, found \"fast\": did you mean fast99?";
        assert!(error.ends_with(end), "{error}");
    }
}
