//! Parsers of the values of options: whole numbers, fractions, sizes, times, names with settings.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use seqfit::Loss;
use seqfit::data::TargetKind;
use seqfit::text::in_plain_words;
use serde::de::DeserializeOwned;
use serde::de::value::{self, StringDeserializer};

/// Parses one of these names, by which serde knows the variants of an enum.
pub fn one_of<T>(names: impl IntoIterator<Item = &'static str>) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names)
        .try_map(|name| T::deserialize(StringDeserializer::<value::Error>::new(name)))
}

/// Parses the name of one of these values, or another name that it has here.
pub fn value_of<T>(values: Vec<(PossibleValue, T)>) -> impl TypedValueParser<Value = T>
where
    T: Clone + Send + Sync + 'static,
{
    let names: Vec<PossibleValue> = values.iter().map(|(name, _)| name.clone()).collect();
    Trimmed(PossibleValuesParser::new(names)).try_map(move |text| {
        let found = values.iter().find(|(name, _)| name.matches(&text, false));
        found.map(|(_, value)| value.clone()).ok_or("no such value")
    })
}

/// Ignores spaces around a value: in a list, one may follow a comma.
#[derive(Clone)]
struct Trimmed<P>(P);

impl<P: TypedValueParser> TypedValueParser for Trimmed<P> {
    type Value = P::Value;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<P::Value, clap::Error> {
        let trimmed = value.to_str().map_or(value, |text| OsStr::new(text.trim()));
        self.0.parse_ref(command, argument, trimmed)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        self.0.possible_values()
    }
}

/// Parses the kind of targets: seqfit's name, or scikit-learn's.
pub fn task() -> impl TypedValueParser<Value = TargetKind> {
    let others: [&[&str]; 3] =
        [&["classification", "multiclass"], &["multilabel"], &["regression"]];
    let kinds = [TargetKind::Class, TargetKind::Labels, TargetKind::Numbers];
    let names = TargetKind::NAMES.into_iter().zip(others);
    let names = names.map(|(name, others)| PossibleValue::new(name).aliases(others));
    value_of(names.zip(kinds).collect())
}

/// Takes text without the spaces around it.
pub fn trimmed(text: &str) -> Result<String, Infallible> {
    Ok(text.trim().to_owned())
}

/// A list of names.
#[derive(Clone, Debug)]
pub struct Names(pub Vec<String>);

/// Parses names that are separated by commas; spaces around them are not part of them.
pub fn names(text: &str) -> Result<Names, String> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().any(String::is_empty) {
        true => Err(format!("names are separated by single commas, found {text:?}")),
        false => Ok(Names(names)),
    }
}

/// Parses a whole number of at least 1.
pub fn count(text: &str) -> Result<NonZeroUsize, String> {
    let most = u32::MAX;
    match text.parse::<NonZeroU32>() {
        Ok(n) => Ok(n.try_into().unwrap_or(NonZeroUsize::MIN)),
        Err(_) => Err(format!("this must be a whole number from 1 to {most}, found {text:?}")),
    }
}

/// Parses a whole number of at least 0.
pub fn whole(text: &str) -> Result<usize, String> {
    let most = u32::MAX;
    match text.parse::<u32>() {
        Ok(n) => Ok(n as usize),
        Err(_) => Err(format!("this must be a whole number from 0 to {most}, found {text:?}")),
    }
}

/// Parses a seed: a non-negative whole number that TOML, and so a run's config, can hold.
pub fn seed(text: &str) -> Result<u64, String> {
    let most = i64::MAX as u64;
    match text.parse() {
        Ok(n) if n <= most => Ok(n),
        _ => Err(format!("a seed is a whole number from 0 to {most}, found {text:?}")),
    }
}

/// Parses a fraction that leaves something: 0 ≤ x < 1.
pub fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if (0.0..1.0).contains(&x) => Ok(x),
        _ => Err(format!("a fraction is a number of at least 0 and below 1, found {text:?}")),
    }
}

/// Height and width, such as 28x28.
#[derive(Clone, Copy, Debug)]
pub struct Size(pub [usize; 2]);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.0[0], self.0[1])
    }
}

/// Parses a size of images: both sides are at least 1.
pub fn size(text: &str) -> Result<Size, String> {
    let side = |text: &str| text.parse().ok().filter(|&side| side > 0);
    let sides = text.split_once('x').and_then(|(h, w)| Some([side(h)?, side(w)?]));
    sides.map(Size).ok_or_else(|| format!("a size is HEIGHTxWIDTH such as 28x28, found {text:?}"))
}

/// Parses the size that pictures are converted to: both sides are at most 1024.
pub fn picture_size(text: &str) -> Result<Size, String> {
    match size(text)? {
        Size([height, width]) if height.max(width) > 1024 => {
            Err(format!("images have at most 1024 rows and columns here, found {text:?}"))
        }
        fits => Ok(fits),
    }
}

/// Like [`picture_size`], or one number for both sides.
pub fn side_or_size(text: &str) -> Result<Size, String> {
    match text.parse::<usize>() {
        Ok(_) => picture_size(&format!("{text}x{text}")),
        Err(_) => picture_size(text),
    }
}

/// Parses a number above 0.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x > 0.0 && x.is_finite() => Ok(x),
        _ => Err(format!("this must be a number above 0, found {text:?}")),
    }
}

/// Parses a number of at least 0.
pub fn not_negative(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(x) if x >= 0.0 && x.is_finite() => Ok(x),
        _ => Err(format!("this must be a number of at least 0, found {text:?}")),
    }
}

/// Named numbers, as a TOML table.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers(pub toml::Table);

/// Parses named numbers such as `rotation=9,scale=0.1`.
pub fn numbers(text: &str) -> Result<Numbers, String> {
    let number = |part: &str| {
        let (key, value) = part.split_once('=')?;
        let whole = value.parse::<i64>().ok().map(toml::Value::Integer);
        let value = whole.or_else(|| value.parse::<f64>().ok().map(toml::Value::Float))?;
        Some((key.trim().to_owned(), value))
    };
    let mut table = toml::Table::new();
    for part in text.split(',') {
        let rule = || format!("numbers are written KEY=NUMBER, found {part:?}");
        let (key, value) = number(part.trim()).ok_or_else(rule)?;
        if table.insert(key.clone(), value).is_some() {
            return Err(format!("each number is given once, found {key} again: leave one out"));
        }
    }
    Ok(Numbers(table))
}

/// Parses a name with optional numbers, such as `one-cycle` or `one-cycle:warm_up=0.15,start=0.04`.
pub fn named_numbers(text: &str) -> Result<Numbers, String> {
    let (name, rest) = match text.split_once(':') {
        None => (text, None),
        Some((name, rest)) => (name, Some(rest)),
    };
    let mut table = rest.map(numbers).transpose()?.map(|Numbers(table)| table).unwrap_or_default();
    match table.insert("name".to_owned(), toml::Value::String(name.to_owned())) {
        None => Ok(Numbers(table)),
        Some(_) => Err(format!("each number is given once, found name again in {text:?}")),
    }
}

/// Parses the name of a loss with optional settings, such as `huber` or `huber:delta=0.5`.
pub fn loss(text: &str) -> Result<Loss, String> {
    let Numbers(mut settings) = named_numbers(text)?;
    let name = settings.remove("name").unwrap_or_else(|| text.into());
    let loss = match (settings.is_empty(), &name) {
        (false, toml::Value::String(name)) => {
            toml::Value::Table([(name.clone(), settings.into())].into_iter().collect())
        }
        _ => name,
    };
    let loss: Loss =
        loss.try_into().map_err(|error: toml::de::Error| in_plain_words(error.message()))?;
    loss.kind().check().map_err(|error| error.to_string())?;
    Ok(loss)
}

/// Parses a time such as 90s, 10m or 1h30m; a bare number is in seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let rule =
        || format!("a time is a number with a unit such as 90s, 10m or 1h30m, found {text:?}");
    let seconds = text.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()));
    let parsed = seconds.or_else(|| {
        let parsed = text.parse::<jiff::SignedDuration>().ok()?;
        parsed.try_into().ok()
    });
    parsed.filter(|time| !time.is_zero()).ok_or_else(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_with_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "0", "-5s", "10x", "ten minutes"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_that_is_given_twice_is_refused() {
        assert!(numbers("flip=0.5,shift=2").is_ok());
        let error = numbers("flip=0.5,flip=0.1").unwrap_err();
        assert_eq!(error, "each number is given once, found flip again: leave one out");
        let error = named_numbers("one-cycle:name=3").unwrap_err();
        assert!(error.contains("found name again"), "{error}");
    }

    #[test]
    fn a_size_of_pictures_has_a_limit() {
        assert_eq!(side_or_size("64").map(|size| size.0), Ok([64, 64]));
        for text in ["100000", "1025", "64x100000"] {
            let error = side_or_size(text).unwrap_err();
            assert!(error.starts_with("images have at most 1024 rows and columns here"), "{error}");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        assert!(count("0").is_err() && count("-1").is_err() && count("3").is_ok());
        assert_eq!((share("0.5"), positive("1e-3")), (Ok(0.5), Ok(1e-3)));
        for text in ["1", "-0.1", "nan", "x"] {
            assert!(share(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "inf", "nan", ""] {
            assert!(positive(text).is_err(), "{text}");
        }
    }
}
