//! The page: HTML, CSS and JavaScript in one file, with a content security policy that allows nothing else.

use std::io;

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::model_card::Model;

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const PROGRAM: &str = include_str!("page/page.js");

/// The page for one network.
#[derive(Debug)]
pub struct Page {
    html: Bytes,
    policy: HeaderValue,
}

impl Page {
    /// Assembles the page.
    ///
    /// # Errors
    /// A model that cannot be serialized, which does not occur.
    pub fn new(model: &Model) -> io::Result<Self> {
        // `<` could end the script element around the data.
        let data = serde_json::to_string(model)?.replace('<', "\\u003c");
        let fill = |html: String, (slot, text): (&str, &str)| html.replacen(slot, text, 1);
        // The data comes last, so that nothing in it is replaced as a placeholder.
        let html = [("/* style */", STYLE), ("/* program */", PROGRAM), ("/* model */", &data)]
            .into_iter()
            .fold(HTML.to_owned(), fill);
        let policy = format!(
            "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data: blob:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            source(STYLE),
            source(PROGRAM)
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
    use crate::data::Preparation;

    #[test]
    fn names_are_escaped() {
        let model = Model {
            name: "</script><script>alert(1)</script>/* style */".to_owned(),
            input: [28, 28],
            classes: vec!["<b>".to_owned(), "\u{2028}".to_owned()],
            preparation: Preparation::Digit,
            parameters: 1,
            dataset: None,
            test_accuracy: None,
        };
        let page = Page::new(&model).unwrap();
        let html = str::from_utf8(&page.html).unwrap();
        assert_eq!(html.matches("<script").count(), 2);
        assert!(html.contains(STYLE) && html.contains(PROGRAM) && !html.contains("<b>"));
        assert!(html.contains("\\u003c/script>") && html.contains("/* style */"));
    }
}
