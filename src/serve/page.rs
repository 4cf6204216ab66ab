//! The page: HTML, CSS and JavaScript in one file, with a content security policy that allows nothing else.

use std::io;

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::model_card::{Input, Model};

const STYLE: &str = include_str!("page/page.css");
/// The frame of all pages, around the main part of each.
const FRAME: &str = include_str!("page/frame.html");
/// The page for pictures: the class of its body, its main part and its program.
const PICTURES: [&str; 3] = ["", include_str!("page/page.html"), include_str!("page/page.js")];
/// The page for rows of numbers.
const ROWS: [&str; 3] =
    [" class=\"rows\"", include_str!("page/rows.html"), include_str!("page/rows.js")];

/// The data of the page.
#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    model: &'a Model,
    /// The number of samples that a request may have.
    most: usize,
}

/// The page for one network.
#[derive(Debug)]
pub struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    /// Assembles the page that suits the network. A request may have `most` samples.
    ///
    /// # Errors
    /// A model that cannot be serialized, which does not occur.
    pub fn new(model: &Model, most: usize) -> io::Result<Self> {
        let [class, main, program] = match model.takes() {
            Input::Pictures => PICTURES,
            Input::Pixels | Input::Numbers => ROWS,
        };
        // `<` could end the script element around the data.
        let data = serde_json::to_string(&Data { model, most })?.replace('<', "\\u003c");
        let fill = |html: String, (slot, text): (&str, &str)| html.replacen(slot, text, 1);
        // The data comes last, so that nothing in it is replaced as a placeholder.
        let html = [
            ("/* class */", class),
            ("/* main */\n", main),
            ("/* style */", STYLE),
            ("/* program */", program),
            ("/* model */", &data),
        ];
        let html = html.into_iter().fold(FRAME.to_owned(), fill);
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data: blob:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            source(STYLE),
            source(program)
        );
        let policy = HeaderValue::try_from(policy).map_err(io::Error::other)?;
        Ok(Self { html: html.into(), policy })
    }

    /// Returns the page as a response.
    pub fn response(&self) -> Response {
        let headers: [(HeaderName, HeaderValue); 2] = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
        ];
        (headers, self.html.clone()).into_response()
    }
}

/// Returns the source expression of an inline style or script for a content security policy.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{FeatureKind, Preparation};
    use crate::serve::model_card::Names;

    fn page(features: FeatureKind, input: &[usize]) -> String {
        let model = Model {
            name: "</script><script>alert(1)</script>/* style */".to_owned(),
            features,
            input: input.to_vec(),
            names: Names::Classes(vec!["<b>".to_owned(), "\u{2028}".to_owned()]),
            threshold: None,
            preparation: Some(Preparation::Digit),
            parameters: 1,
            dataset: None,
            test_accuracy: None,
            test_metrics: Default::default(),
            output: Default::default(),
        };
        String::from_utf8(Page::new(&model, 256).unwrap().html.to_vec()).unwrap()
    }

    #[test]
    fn names_are_escaped() {
        for (html, [class, main, program]) in [
            (page(FeatureKind::Pixels, &[28, 28]), PICTURES),
            (page(FeatureKind::Floats, &[8]), ROWS),
            (page(FeatureKind::Pixels, &[3, 32, 32]), PICTURES),
            (page(FeatureKind::Pixels, &[2, 32, 32]), ROWS),
        ] {
            assert_eq!(html.matches("<script").count(), 2);
            assert!(html.contains(STYLE) && html.contains(program) && !html.contains("<b>"));
            assert!(html.contains(&format!("<body{class}>")) && html.contains(main));
            assert!(html.contains("\\u003c/script>") && html.contains("/* style */"));
        }
    }
}
