//! Conversion of the body of `POST /predict` into images for the network.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Limits;
use super::error_response::Problem;
use super::json_images::Pixels;
use crate::data::Preparation;
use crate::data::images::{self, ImageProblem};

/// The type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A PNG or JPEG file.
    Picture,
    /// JSON, see [`Given`].
    Json,
}

/// How images are prepared for the network.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// [height, width] of the network's input.
    pub shape: [usize; 2],
    /// How pictures become such images.
    pub preparation: Preparation,
}

/// Images for the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// The concatenated images, each row by row.
    pub pixels: Vec<u8>,
    /// The number of images.
    pub count: usize,
    /// Whether the request was a single image rather than a list.
    pub single: bool,
}

/// A JSON body: exactly one of the three keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    /// A PNG or JPEG file in base64.
    image: Option<String>,
    /// A list of those.
    images: Option<Vec<String>>,
    /// The network's input itself.
    pixels: Option<Pixels>,
}

impl Kind {
    /// Returns the type that the headers declare.
    ///
    /// # Errors
    /// 415 for any other type.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let found = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
        let essence = found.and_then(|found| found.split(';').next()).unwrap_or("").trim();
        match essence.to_ascii_lowercase().as_str() {
            "image/png" | "image/jpeg" => Ok(Self::Picture),
            "application/json" => Ok(Self::Json),
            _ => Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type",
                format!(
                    "Content-Type must be image/png, image/jpeg or application/json, found {}: set \
                     the type of the body",
                    found.map_or("none".to_owned(), |found| format!("{found:?}"))
                ),
            )),
        }
    }
}

impl Images {
    /// Decodes and prepares the images in `bytes`.
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
            Kind::Picture => {
                let pixels = prepared(bytes, to, limits)?;
                Ok(Self { pixels, count: 1, single: true })
            }
            Kind::Json => Self::from_json(bytes, to, limits),
        }
    }

    fn from_json(bytes: &[u8], to: &PredictOptions, limits: &Limits) -> Result<Self, Problem> {
        let given = serde_json::from_slice(bytes).map_err(|error| {
            let form =
                "{\"image\": BASE64}, {\"images\": [BASE64, …]} or {\"pixels\": [[0, …], …]}";
            Problem::bad("json", format!("a JSON body must be {form}, found: {error}"))
        })?;
        match given {
            Given { image: Some(image), images: None, pixels: None } => {
                let pixels = prepared(&decoded(&image)?, to, limits)?;
                Ok(Self { pixels, count: 1, single: true })
            }
            Given { image: None, images: Some(images), pixels: None } => {
                let count = images.len();
                check_count(count, to, limits)?;
                let mut pixels = Vec::with_capacity(count * to.shape[0] * to.shape[1]);
                for (index, image) in images.iter().enumerate() {
                    let image = decoded(image).and_then(|image| prepared(&image, to, limits));
                    pixels.extend(image.map_err(|problem| problem.at(index))?);
                }
                Ok(Self { pixels, count, single: false })
            }
            Given { image: None, images: None, pixels: Some(Pixels { shape, values }) } => {
                let (count, single, size) = match shape[..] {
                    [images, height, width] => (images, false, [height, width]),
                    [height, width] => (1, true, [height, width]),
                    _ => (0, false, [0, 0]),
                };
                check_count(count, to, limits)?;
                if size != to.shape {
                    let cure = "send a picture as \"image\" to have it prepared";
                    let size = ImageProblem::Size { wanted: to.shape, found: size, cure };
                    return Err(Problem::bad("pixels", size.to_string()));
                }
                Ok(Self { pixels: values, count, single })
            }
            _ => Err(Problem::bad(
                "json",
                "a JSON body must have one of \"image\", \"images\" and \"pixels\", found none or several: \
                 send a request for each",
            )),
        }
    }
}

/// Returns the pixels of a JSON request to a network for images of `shape`.
///
/// # Errors
/// The message of the error response.
pub fn read_json(bytes: &[u8], shape: [usize; 2]) -> Result<Vec<u8>, String> {
    let wanted = PredictOptions { shape, preparation: Preparation::Digit };
    let images = Images::from_json(bytes, &wanted, &Limits::default());
    images.map(|images| images.pixels).map_err(|problem| problem.message().to_owned())
}

fn check_count(found: usize, to: &PredictOptions, limits: &Limits) -> Result<(), Problem> {
    let most = limits.batch_of(to.shape);
    if (1..=most).contains(&found) {
        return Ok(());
    }
    let rule = format!("a request must have 1 to {most} images, found {found}: split it");
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
    let pixels = images::from_bytes_within(bytes, limits.picture)
        .and_then(|gray| to.preparation.apply(&gray, to.shape));
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
                let cure = "send one of this size, or use ?prepare=resize (the whole picture) or \
                            ?prepare=digit";
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

    fn read(json: &str) -> Result<Images, Problem> {
        let wanted = PredictOptions { shape: [2, 3], preparation: Preparation::Digit };
        let limits = Limits { batch: (3, 100), ..Limits::default() };
        Images::read(json.as_bytes(), Kind::Json, &wanted, &limits)
    }

    #[test]
    fn pixels_are_taken_as_they_are() {
        let one = Images { pixels: (1..=6).collect(), count: 1, single: true };
        assert_eq!(read(r#"{"pixels": [[1, 2, 3], [4, 5, 6]]}"#), Ok(one.clone()));
        let list = Images { single: false, ..one };
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
            assert_eq!((one.pixels.len(), one.count, one.single), (6, 1, true));
            let two = read(&format!(r#"{{"images": ["{text}", "{text}"]}}"#)).unwrap();
            assert_eq!(two.pixels, [&one.pixels[..], &one.pixels].concat());
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
}
