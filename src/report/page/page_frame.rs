//! The common parts of every page: the head, whose policy forbids every external resource, and the frame.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::super::ReportError;
use super::super::plot::{self, Figure};
use super::style::STYLE;

/// The parts of a page.
pub(in crate::report) struct Page {
    pub title: String,
    pub header: Markup,
    pub content: Markup,
    pub footer: String,
}

impl Page {
    /// Returns the whole document.
    pub fn html(self) -> String {
        // Only this style and pictures that are embedded in the page are allowed.
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

/// Returns a figure with its caption.
pub(in crate::report) fn figure(shown: &impl Figure, caption: &str) -> Result<Markup, ReportError> {
    let svg = plot::inline_svg(shown)?;
    Ok(html! {
        figure {
            (scrolled(&format!("Plot: {}", shown.name()), html! { (PreEscaped(svg)) }))
            @if !caption.is_empty() { figcaption { (caption) } }
        }
    })
}

/// Returns a container for content that may be wider than the screen. It scrolls, also by keyboard.
pub(in crate::report) fn scrolled(name: &str, content: Markup) -> Markup {
    html! { div.scroll role="group" aria-label=(name) tabindex="0" { (content) } }
}

/// Returns the head of a table.
pub(in crate::report) fn head(columns: &[&str]) -> Markup {
    html! { thead { tr { @for name in columns { th scope="col" { (name) } } } } }
}

/// Returns a fraction as a percentage with `decimals`, never broken before the percent sign. Rounding turns
/// no fraction below 1 into 100 % and none above 0 into 0 %.
pub(in crate::report) fn percent(fraction: f64, decimals: usize) -> Markup {
    html! { span.whole { (percentage(fraction, decimals)) } }
}

/// Like [`percent`], but without markup.
pub(in crate::report) fn percentage(fraction: f64, decimals: usize) -> String {
    let least = 10f64.powi(-(decimals as i32));
    let text = |value: f64| format!("{value:.decimals$} %");
    match 100.0 * fraction {
        value if value < 100.0 && text(value) == text(100.0) => {
            format!("> {}", text(100.0 - least))
        }
        value if value > 0.0 && text(value) == text(0.0) => format!("< {}", text(least)),
        value => text(value),
    }
}

/// Returns the name of a setting, which may break after its dots and underscores.
pub(in crate::report) fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['.', '_']) { (part) wbr; } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_never_reaches_0_or_100_percent() {
        let cases = [
            (1.0, "100.00 %"),
            (0.99999, "> 99.99 %"),
            (0.9999, "99.99 %"),
            (0.848, "84.80 %"),
            (0.00001, "< 0.01 %"),
            (0.0, "0.00 %"),
        ];
        cases.iter().for_each(|(fraction, text)| assert_eq!(percentage(*fraction, 2), *text));
        assert_eq!(percentage(0.9999, 1), "> 99.9 %");
    }
}
