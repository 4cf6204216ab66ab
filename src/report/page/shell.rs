//! What every page has: the head, which forbids whatever the page does not hold, and the frame.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::super::ReportError;
use super::super::plot::{self, Figure};
use super::style::STYLE;

/// A page's parts.
pub(in crate::report) struct Page {
    pub title: String,
    pub header: Markup,
    pub content: Markup,
    pub footer: String,
}

impl Page {
    /// The whole document.
    pub fn html(self) -> String {
        // Nothing is loaded but this style and pictures that stand in the page itself.
        let style = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; \
             form-action 'none'"
        );
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header { (self.header) }
                    main id="content" { (self.content) }
                    footer { p { (self.footer) } }
                }
            }
        };
        page.into_string()
    }
}

/// A figure with what is said about it.
pub(in crate::report) fn figure(shown: &impl Figure, caption: &str) -> Result<Markup, ReportError> {
    let svg = plot::inline_svg(shown)?;
    Ok(html! {
        figure {
            (scrolled(&format!("Plot: {}", shown.name()), html! { (PreEscaped(svg)) }))
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    })
}

/// What may be wider than a narrow screen, and is moved then, also by keys.
pub(in crate::report) fn scrolled(name: &str, content: Markup) -> Markup {
    html! { div.scroll role="group" aria-label=(name) tabindex="0" { (content) } }
}
