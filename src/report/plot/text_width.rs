//! Text measurement for plots. Labels are placed before anything is drawn, and a browser draws them in
//! another font, so widths are upper bounds over the usual sans-serif fonts.

/// The characters that can be drawn.
pub(in crate::report) enum Letters {
    /// All: a browser has a font for each.
    All,
    /// Only those of the built-in font.
    BuiltIn,
}

impl Letters {
    /// Returns a class's name, truncated to fit into `room` points at a font size of `points`; its number
    /// if the font lacks characters for it.
    pub(super) fn name(&self, name: &str, class: usize, points: f64, room: f64) -> String {
        // The characters that scripts/make_report_fonts.py keeps.
        let has = |c: char| matches!(c, ' '..='~' | '\u{a0}'..='\u{17f}' | '–' | '—' | '…');
        match self {
            Self::BuiltIn if !name.chars().all(has) => format!("#{class}"),
            _ => fitted(name, points, room),
        }
    }
}

/// Truncates a text to `most` characters, the last an ellipsis if any were removed.
pub(in crate::report) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short + "…"
}

/// Truncates a text to fit into `room` points at a font size of `points`, the last character an ellipsis if
/// any were removed.
pub(super) fn fitted(text: &str, points: f64, room: f64) -> String {
    let mut most = text.chars().count();
    let mut short = text.to_owned();
    while most > 1 && width(&short, points) > room {
        most -= 1;
        short = shortened(text, most);
    }
    short
}

/// Returns an upper bound of a text's width in points at a font size of `points`: DejaVu Sans Bold is the
/// widest of the fonts that systems come with.
pub(super) fn width(text: &str, points: f64) -> f64 {
    points * text.chars().map(em).sum::<f64>()
}

/// Returns the width of a character as a fraction of the font size.
fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '\u{a0}' => 0.41,
        'f' | 'r' | 't' | 'J' | '(' | ')' | '[' | ']' | '-' | '/' | '"' => 0.52,
        'm' | 'M' | 'W' | '@' | '%' | '—' | '…' => 1.05,
        'w' => 0.93,
        'A'..='Z' | '&' | '#' | '+' | '=' | '<' | '>' | '~' => 0.86,
        ' '..='~' => 0.72,
        '\u{a1}'..='\u{24f}' => 0.86,
        // Emoji and other full-width symbols.
        '\u{1f000}'.. => 1.4,
        '\u{1100}'.. => 1.1,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_the_font_become_numbers() {
        let name = |letters: Letters, name: &str, class| letters.name(name, class, 12.0, 60.0);
        assert_eq!(name(Letters::BuiltIn, "o (お)", 3), "#3");
        assert_eq!(name(Letters::All, "o (お)", 3), "o (お)");
        assert_eq!(name(Letters::BuiltIn, "Ankle boot", 9), "Ankle…");
        assert_eq!(shortened("a b c", 3), "a…");
    }

    #[test]
    fn text_is_truncated_only_if_it_does_not_fit() {
        assert_eq!(fitted("cat", 12.0, 30.0), "cat");
        assert_eq!(fitted("", 12.0, 0.0), "");
        for text in ["a".repeat(100), "漢".repeat(100), "W".repeat(100), "🐈".repeat(100)] {
            for room in [20.0, 50.0, 170.0] {
                let short = fitted(&text, 12.0, room);
                assert!(short.ends_with('…') && width(&short, 12.0) <= room, "{short} in {room}");
                let more = shortened(&text, short.chars().count() + 1);
                assert!(width(&more, 12.0) > room, "{more} fits into {room}, too");
            }
        }
    }
}
