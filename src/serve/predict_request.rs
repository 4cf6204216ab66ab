//! Conversion of the body of `POST /predict` into samples for the network.

use std::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use super::Limits;
use super::error_response::Problem;
use super::json_arrays::{ArrayOf, JsonArray};
use super::model_card::Input;
use crate::data::images::{self, ImageProblem};
use crate::data::{FeatureKind, Features, PictureShape, Preparation};

/// The type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A PNG or JPEG file.
    Picture,
    /// JSON, see [`Given`].
    Json,
}

/// What the network takes, and how pictures become that.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// What requests hold.
    pub input: Input,
    /// The shape of a sample: [height, width] of gray images, [3, height, width] of those in color.
    pub shape: Vec<usize>,
    /// How pictures become such images.
    pub preparation: Preparation,
}

/// Samples for the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// The samples.
    pub features: Features,
    /// Whether the request was a single sample rather than a list.
    pub single: bool,
}

/// A JSON body, which has exactly one key.
enum Given {
    /// A PNG or JPEG file in base64.
    Image(String),
    /// A list of those.
    Images(Vec<String>),
    /// The network's input itself, as pixels.
    Pixels(JsonArray<u8>),
    /// The network's input itself, as numbers.
    Inputs(JsonArray<f32>),
}

/// Reads a JSON body for a network.
#[derive(Clone, Copy)]
struct GivenFor<'a>(&'a PredictOptions);

impl Input {
    /// The keys of a JSON body.
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Pictures => &["image", "images", "pixels"],
            Self::Pixels => &["pixels"],
            Self::Numbers => &["inputs"],
        }
    }

    /// The forms of a JSON body, in words.
    fn forms(self) -> &'static str {
        match self {
            Self::Pictures => {
                "{\"image\": BASE64}, {\"images\": [BASE64, …]} or {\"pixels\": [[0, …], …]}"
            }
            Self::Pixels => "{\"pixels\": [[0, …], …]}",
            Self::Numbers => "{\"inputs\": [[0.5, …], …]}",
        }
    }
}

impl<'de> DeserializeSeed<'de> for GivenFor<'_> {
    type Value = Given;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Given, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for GivenFor<'_> {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with one key")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let PredictOptions { input, shape, .. } = self.0;
        let Some(key) = map.next_key::<String>()? else {
            return Err(A::Error::custom("no key"));
        };
        if !input.keys().contains(&key.as_str()) {
            return Err(A::Error::unknown_field(&key, input.keys()));
        }
        let given = match key.as_str() {
            "image" => Given::Image(map.next_value()?),
            "images" => Given::Images(map.next_value()?),
            "pixels" => Given::Pixels(map.next_value_seed(ArrayOf::new(shape.len()))?),
            _ => Given::Inputs(map.next_value_seed(ArrayOf::new(shape.len()))?),
        };
        match map.next_key::<String>()? {
            None => Ok(given),
            Some(second) => {
                Err(A::Error::custom(format!("{key:?} and {second:?}: send a request for each")))
            }
        }
    }
}

impl Kind {
    /// Returns the type that the headers declare.
    ///
    /// # Errors
    /// 415 for any other type, and for a picture to a network that takes none.
    pub fn of(headers: &HeaderMap, input: Input) -> Result<Self, Problem> {
        let found = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
        let essence = found.and_then(|found| found.split(';').next()).unwrap_or("").trim();
        let rule = match (essence.to_ascii_lowercase().as_str(), input) {
            ("image/png" | "image/jpeg", Input::Pictures) => return Ok(Self::Picture),
            ("application/json", _) => return Ok(Self::Json),
            (_, Input::Pictures) => "must be image/png, image/jpeg or application/json",
            _ => "must be application/json for this network, which takes no pictures",
        };
        let found = found.map_or("none".to_owned(), |found| format!("{found:?}"));
        Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type",
            format!("Content-Type {rule}, found {found}: set the type of the body"),
        ))
    }
}

impl Samples {
    /// Decodes and prepares the samples in `bytes`.
    ///
    /// # Errors
    /// The first error that is found.
    pub fn read(
        bytes: &[u8],
        kind: Kind,
        to: &PredictOptions,
        limits: &Limits,
    ) -> Result<Self, Problem> {
        match kind {
            Kind::Picture => Ok(Self::images(prepared(bytes, to, limits)?, to, true)),
            Kind::Json => Self::from_json(bytes, to, limits),
        }
    }

    fn images(pixels: Vec<u8>, to: &PredictOptions, single: bool) -> Self {
        Self { features: Features::pixels(pixels, &to.shape[..]), single }
    }

    fn from_json(bytes: &[u8], to: &PredictOptions, limits: &Limits) -> Result<Self, Problem> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let given = GivenFor(to).deserialize(&mut deserializer);
        let given =
            given.and_then(|given| deserializer.end().map(|()| given)).map_err(|error| {
                let form = to.input.forms();
                Problem::bad("json", format!("a JSON body must be {form}, found: {error}"))
            })?;
        match given {
            Given::Image(image) => {
                Ok(Self::images(prepared(&decoded(&image)?, to, limits)?, to, true))
            }
            Given::Images(images) => {
                check_count(images.len(), to, limits)?;
                let mut pixels =
                    Vec::with_capacity(images.len() * to.shape.iter().product::<usize>());
                for (index, image) in images.iter().enumerate() {
                    let image = decoded(image).and_then(|image| prepared(&image, to, limits));
                    pixels.extend(image.map_err(|problem| problem.at(index))?);
                }
                Ok(Self::images(pixels, to, false))
            }
            Given::Pixels(JsonArray { shape, values }) => {
                let single = check_array(&shape, "pixels", to, limits)?;
                Ok(Self::images(values, to, single))
            }
            Given::Inputs(JsonArray { shape, values }) => {
                let single = check_array(&shape, "inputs", to, limits)?;
                Ok(Self { features: Features::floats(values, &to.shape[..]), single })
            }
        }
    }
}

/// Returns the samples of a JSON request to a network for pixels or numbers of `shape`.
///
/// # Errors
/// The message of the error response.
pub fn read_json(bytes: &[u8], shape: &[usize], features: FeatureKind) -> Result<Features, String> {
    let (input, preparation) = (Input::of(features, shape), Preparation::Digit);
    let to = PredictOptions { input, shape: shape.to_vec(), preparation };
    let samples = Samples::from_json(bytes, &to, &Limits::default());
    samples.map(|samples| samples.features).map_err(|problem| problem.message().to_owned())
}

/// Checks the shape of an array, and returns whether it is a single sample.
fn check_array(
    shape: &[usize],
    rule: &'static str,
    to: &PredictOptions,
    limits: &Limits,
) -> Result<bool, Problem> {
    let single = shape.len() == to.shape.len();
    let (count, sample) = match shape {
        [count, sample @ ..] if !single => (*count, sample),
        _ => (1, shape),
    };
    check_count(count, to, limits)?;
    if *sample == to.shape[..] {
        return Ok(single);
    }
    let message = match (to.input, &to.shape[..], sample) {
        (Input::Pictures, &[height, width], &[rows, columns]) => {
            let cure = "send a picture as \"image\" to have it prepared";
            let (wanted, found) = ([height, width], [rows, columns]);
            ImageProblem::Size { wanted, found, cure }.to_string()
        }
        (_, [wanted], [found]) => format!(
            "the network takes samples of {wanted} numbers, found {found}: send all of them, in the order of the \
             training data"
        ),
        (_, wanted, found) => {
            format!(
                "the network takes samples of shape {wanted:?}, found {found:?}: send this shape"
            )
        }
    };
    Err(Problem::bad(rule, message))
}

fn check_count(found: usize, to: &PredictOptions, limits: &Limits) -> Result<(), Problem> {
    let most = limits.batch_of(&to.shape);
    if (1..=most).contains(&found) {
        return Ok(());
    }
    let samples = to.input.samples();
    let rule = format!("a request must have 1 to {most} {samples}, found {found}: split it");
    Err(Problem::bad("batch", rule))
}

fn decoded(base64: &str) -> Result<Vec<u8>, Problem> {
    // The prefix of data URLs, which browsers and many libraries add.
    let bare = match base64.split_once(";base64,") {
        Some((kind, rest)) if kind.starts_with("data:image/") => rest,
        _ => base64,
    };
    STANDARD.decode(bare).map_err(|error| {
        let rule = "an image in JSON must be a PNG or JPEG file in base64";
        Problem::bad("base64", format!("{rule}, found: {error}"))
    })
}

fn prepared(bytes: &[u8], to: &PredictOptions, limits: &Limits) -> Result<Vec<u8>, Problem> {
    // Only networks of such a shape take pictures.
    let shape = PictureShape::of(&to.shape).unwrap_or([1, 1].into());
    let pixels = images::picture_from_bytes(bytes, shape, to.preparation, limits.picture);
    pixels.map_err(|problem| {
        let rule = match problem {
            ImageProblem::Blank => "blank",
            _ => "picture",
        };
        let message = match problem {
            ImageProblem::Format { found, cure } => {
                format!("a picture must be a PNG or JPEG file, found {found}: {cure}")
            }
            ImageProblem::Size { wanted, found, .. } => {
                let cure = match shape.color {
                    true => {
                        "send one of this size, or use ?prepare=resize (the whole picture), crop or letterbox"
                    }
                    false => {
                        "send one of this size, or use ?prepare=resize (the whole picture) or \
                         ?prepare=digit"
                    }
                };
                ImageProblem::Size { wanted, found, cure }.to_string()
            }
            other => other.to_string(),
        };
        Problem::bad(rule, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_for(input: Input, shape: &[usize], json: &str) -> Result<Samples, Problem> {
        let preparation = Preparation::Digit;
        let wanted = PredictOptions { input, shape: shape.to_vec(), preparation };
        let limits = Limits { batch: (3, 100), ..Limits::default() };
        Samples::read(json.as_bytes(), Kind::Json, &wanted, &limits)
    }

    fn read(json: &str) -> Result<Samples, Problem> {
        read_for(Input::Pictures, &[2, 3], json)
    }

    #[test]
    fn pixels_are_taken_as_they_are() {
        let features = Features::pixels((1..=6).collect::<Vec<u8>>(), [2, 3]);
        let one = Samples { features, single: true };
        assert_eq!(read(r#"{"pixels": [[1, 2, 3], [4, 5, 6]]}"#), Ok(one.clone()));
        let list = Samples { single: false, ..one };
        assert_eq!(read(r#"{"pixels": [[[1, 2, 3], [4, 5, 6]]]}"#), Ok(list));
    }

    #[test]
    fn pictures_in_base64_are_prepared() {
        let mut png = Vec::new();
        let picture = image::GrayImage::from_fn(30, 20, |x, y| {
            image::Luma([255 * u8::from(x == 9 && (4..16).contains(&y))])
        });
        picture.write_to(&mut std::io::Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
        let text = STANDARD.encode(&png);
        for text in [text.clone(), format!("data:image/png;base64,{text}")] {
            let one = read(&format!(r#"{{"image": "{text}"}}"#)).unwrap();
            assert_eq!((one.features.len(), one.single), (1, true));
            let two = read(&format!(r#"{{"images": ["{text}", "{text}"]}}"#)).unwrap();
            let pixels = one.features.as_pixels().unwrap();
            assert_eq!(two.features.as_pixels(), Some(&[pixels, pixels].concat()[..]));
        }
        let problem = read(&format!(r#"{{"images": ["{text}", "AAAA"]}}"#)).unwrap_err();
        assert_eq!(problem.index(), Some(1));
    }

    #[test]
    fn each_error_names_its_rule() {
        for (json, rule) in [
            ("", "json"),
            ("{", "json"),
            ("[]", "json"),
            ("{}", "json"),
            (r#"{"picture": ""}"#, "json"),
            (r#"{"image": "", "pixels": [[1]]}"#, "json"),
            (r#"{"pixels": [[1, 2, 3], [4, 5, 256]]}"#, "json"),
            (r#"{"pixels": [[1, 2], [3, 4]]}"#, "pixels"),
            (
                r#"{"pixels": [[[0,0,0],[0,0,0]],[[0,0,0],[0,0,0]],[[0,0,0],[0,0,0]],[[0,0,0],[0,0,0]]]}"#,
                "batch",
            ),
            (r#"{"images": []}"#, "batch"),
            (r#"{"image": "?"}"#, "base64"),
            (r#"{"image": ""}"#, "picture"),
            (r#"{"image": "R0lGODlhAQABAAAAADs="}"#, "picture"),
        ] {
            let problem = read(json).expect_err(json);
            assert_eq!(problem.kind(), (StatusCode::BAD_REQUEST, rule), "{json}");
        }
    }

    #[test]
    fn numbers_and_arrays_of_pixels_are_taken_in_their_shape() {
        let one = read_for(Input::Numbers, &[2], r#"{"inputs": [0.5, -1]}"#).unwrap();
        assert_eq!(one, Samples { features: Features::floats([0.5, -1.0], [2]), single: true });
        let list = read_for(Input::Numbers, &[2], r#"{"inputs": [[0.5, -1], [1, 2]]}"#).unwrap();
        let features = Features::floats([0.5, -1.0, 1.0, 2.0], [2]);
        assert_eq!(list, Samples { features, single: false });
        let color = r#"{"pixels": [[[1], [2]], [[3], [4]], [[5], [6]]]}"#;
        let color = read_for(Input::Pixels, &[3, 2, 1], color).unwrap();
        let features = Features::pixels([1, 2, 3, 4, 5, 6], [3, 2, 1]);
        assert_eq!(color, Samples { features, single: true });
    }

    #[test]
    fn each_error_for_numbers_names_its_rule() {
        for (json, rule, words) in [
            (r#"{"inputs": [1, 2, 3]}"#, "inputs", "samples of 2 numbers, found 3"),
            (r#"{"inputs": [[1, 2], [3]]}"#, "json", "found 1 after 2"),
            (r#"{"inputs": [[1, 2], [3, "x"]]}"#, "json", "string \"x\""),
            (r#"{"inputs": [1, null]}"#, "json", "null"),
            (r#"{"inputs": [1, 1e39]}"#, "json", "fit into f32, found 1e39"),
            (r#"{"inputs": []}"#, "inputs", "found 0"),
            (r#"{"inputs": [[1,2],[1,2],[1,2],[1,2]]}"#, "batch", "1 to 3 samples, found 4"),
            (r#"{"inputs": [[[1, 2]]]}"#, "json", "depth 1 (one sample) or 2 (several)"),
            (r#"{"pixels": [[1, 2]]}"#, "json", "unknown field `pixels`, expected `inputs`"),
            (r#"{"inputs": [1, 2], "inputs": [1, 2]}"#, "json", "a request for each"),
            (r#"{"inputs": [1, 2]} x"#, "json", "trailing"),
        ] {
            let problem = read_for(Input::Numbers, &[2], json).expect_err(json);
            assert_eq!(problem.kind(), (StatusCode::BAD_REQUEST, rule), "{json}");
            assert!(problem.message().contains(words), "{json}: {}", problem.message());
        }
        let problem = read_for(Input::Numbers, &[2, 2], r#"{"inputs": [[1, 2]]}"#).unwrap_err();
        assert!(problem.message().contains("of shape [2, 2], found [1, 2]"));
    }
}
