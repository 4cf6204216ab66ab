//! Text for messages: paths and words quoted for a shell, numbers in few digits, names similar to a misspelled one, and
//! files of text that were given where a binary file is expected.

use std::fmt::{Display, LowerExp};
use std::path::Path;

/// Quotes a path for a shell. One that begins with "-" gets "./" before it, so that no command takes it for an option.
pub fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    match path.starts_with('-') {
        true => quoted_word(&format!("./{path}")),
        false => quoted_word(&path),
    }
}

/// Quotes a word of a command line for a shell, if it needs that.
pub fn quoted_word(word: &str) -> String {
    // zsh expands a word that begins with "=".
    let plain = |c: char| c.is_alphanumeric() || "/-_.,:=+@%".contains(c);
    match !word.is_empty() && !word.starts_with('=') && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// The magnitude from which on numbers are written with an exponent.
const LONG: f64 = 1e12;

/// Returns a number with four digits after the point, such as "0.0812", and a huge one, or one of which these digits
/// would say nothing, with an exponent: "5.12e-7".
pub fn four_decimals(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= LONG && value.is_finite() => format!("{value:.4e}"),
        magnitude if magnitude > 0.0 && magnitude < 1e-4 => format!("{value:.2e}"),
        // Without the sign of -0.
        _ => format!("{:.4}", value + 0.0),
    }
}

/// Returns a number with all its digits, and a huge or tiny one with an exponent.
pub fn number<T: Copy + Display + LowerExp + Into<f64>>(value: T) -> String {
    let magnitude = value.into().abs();
    match magnitude.is_finite() && magnitude > 0.0 && !(1e-7..LONG).contains(&magnitude) {
        true => format!("{value:e}"),
        false => format!("{value}"),
    }
}

/// Returns a number in four significant digits: "1425", "13.44", "3.161e28".
pub fn significant(value: f64) -> String {
    // The digits of the rounded number, and its exponent.
    let scientific = format!("{value:.3e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let short = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -4..=8 => short(&format!("{value:.*}", usize::try_from(3 - exponent).unwrap_or(0))),
        _ => format!("{}e{exponent}", short(digits)),
    }
}

/// Returns a number of things: "1 epoch", "2 epochs".
pub fn counted(count: usize, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

/// Returns that a test part was drawn from the samples, and how many are left: "20 images, drawn once and for all, are
/// the test set, and 80 are left".
pub(crate) fn drawn_test_part(one: &str, test: usize, train: usize) -> String {
    let are = |count: usize| if count == 1 { "is" } else { "are" };
    format!(
        "{}, drawn once and for all, {} the test set, and {train} {} left",
        counted(test, one),
        are(test),
        are(train)
    )
}

/// Returns the name that was probably meant by `found`: one that differs only in case; that has it as one of its words;
/// that has one typing error in at least three characters, or more in a longer name: one in four; or that begins with
/// it. Of two equally similar names the one that contains it wins, else the earlier one.
pub fn similar<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = found.to_lowercase();
    let found: Vec<char> = text.chars().collect();
    let difference = |name: &str| {
        let name: Vec<char> = name.to_lowercase().chars().collect();
        let has_word = || name.split(|c| "_-".contains(*c)).any(|word| word == found);
        // The beginning of a name is a guess only from three characters on.
        let begins = || found.len() >= 3 && name.starts_with(&found);
        let errors = typing_errors(&found, &name);
        let most = (name.len().max(found.len()) / 4).max(usize::from(found.len() >= 3));
        match errors {
            0 => Some((0, 0)),
            _ if found.len() >= 2 && has_word() => Some((1, 0)),
            _ if errors <= most => Some((2, errors)),
            _ => begins().then_some((3, 0)),
        }
    };
    let alike = names.into_iter().filter_map(|name| Some((difference(name)?, name)));
    let nearest = alike.min_by_key(|(difference, name)| (*difference, !name.contains(&text)));
    nearest.map(|(_, name)| name)
}

/// Returns the cure for a name that is none of `names`: the name that was probably meant, of pairs of a name and the name
/// to use for it.
pub fn did_you_mean<'a>(
    found: &str,
    names: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let names: Vec<(&str, &str)> = names.into_iter().collect();
    let meant = similar(found, names.iter().map(|(name, _)| *name));
    match names.iter().find(|(name, _)| Some(*name) == meant) {
        Some((_, name)) => format!("did you mean {name}?"),
        None => "take one of these".to_owned(),
    }
}

/// Returns serde's message about a value with its types in plain words: "expected a number" for "expected f64".
pub fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("usize", "a whole number of at least 0"),
        ("u64", "a whole number of at least 0"),
        ("u32", "a whole number of at least 0"),
        ("u8", "a whole number from 0 to 255"),
        ("f64", "a number"),
        ("f32", "a number"),
        ("a boolean", "true or false"),
        ("a sequence", "a list"),
        ("a map", "a table"),
    ];
    let plain = |text: String, (of_rust, plain): &(&str, &str)| {
        text.replace(&format!("expected {of_rust}"), &format!("expected {plain}"))
    };
    WORDS.iter().fold(message.to_owned(), plain)
}

/// Returns the message of a TOML parser with the line of the text that it refers to.
pub fn with_line(error: &toml::de::Error, text: &str) -> String {
    let message = in_plain_words(error.message());
    match error.span().and_then(|span| text.get(..span.start)) {
        None => message,
        Some(before) => {
            let number = before.matches('\n').count();
            let line = text.lines().nth(number).unwrap_or("");
            let column = before.rsplit('\n').next().unwrap_or("").chars().count();
            format!("line {} ({}): {message}", number + 1, around(line, column))
        }
    }
}

/// Returns a line of a file, or of a long one the characters around this column.
fn around(line: &str, column: usize) -> String {
    const MOST: usize = 120;
    if line.trim().chars().count() <= MOST {
        return line.trim().to_owned();
    }
    let from = column.saturating_sub(MOST / 2);
    let mut rest = line.chars().skip(from);
    let part: String = rest.by_ref().take(MOST).collect();
    let start = if from > 0 { "…" } else { "" };
    let end = if rest.next().is_some() { "…" } else { "" };
    format!("{start}{}{end}", part.trim())
}

/// Returns the number of characters to insert, delete, replace or swap with a neighbor to turn `a` into `b`: the
/// optimal string alignment distance.
fn typing_errors(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// A file of text where a binary file is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFile {
    /// HTML or XML; an SVG is one, too.
    Markup,
    /// The stand-in for a file in Git LFS.
    LfsPointer,
    /// Any other text in UTF-8.
    Other,
}

impl TextFile {
    /// Recognizes text by the first bytes of a file.
    pub fn of(start: &[u8]) -> Option<Self> {
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        // The last character may be cut off.
        let is_utf8 = std::str::from_utf8(text).map_or_else(|e| e.error_len().is_none(), |_| true);
        let is_control = |&b: &u8| b < b' ' && !b"\t\n\x0c\r".contains(&b) || b == 0x7f;
        match text {
            [] => None,
            [b'<', ..] => Some(Self::Markup),
            text if !is_utf8 || text.iter().any(is_control) => None,
            text if text.starts_with(b"version https://") => Some(Self::LfsPointer),
            _ => Some(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        for (path, expected) in [
            ("runs/mnist-2.x", "runs/mnist-2.x"),
            ("my runs/a", "'my runs/a'"),
            ("Ann's", r"'Ann'\''s'"),
            ("", "''"),
            ("~", "'~'"),
            ("=ls", "'=ls'"),
            ("-x", "./-x"),
            ("- x", "'./- x'"),
            ("$(x)", "'$(x)'"),
            ("zweite-läufe", "zweite-läufe"),
        ] {
            assert_eq!(quoted(Path::new(path)), expected);
        }
        assert_eq!(quoted_word("-x"), "-x");
        assert_eq!(quoted_word("rotation=9,scale=0.1"), "rotation=9,scale=0.1");
    }

    #[test]
    fn numbers_of_any_size_have_few_digits() {
        for (value, four, all, few) in [
            (0.0, "0.0000", "0", "0"),
            (-1425.476, "-1425.4760", "-1425.476", "-1425"),
            (13.44123, "13.4412", "13.44123", "13.44"),
            (0.00025, "0.0003", "0.00025", "0.00025"),
            (2e6, "2000000.0000", "2000000", "2000000"),
            (1e300, "1.0000e300", "1e300", "1e300"),
            (-3.16078e28, "-3.1608e28", "-3.16078e28", "-3.161e28"),
            (1e-20, "1.00e-20", "1e-20", "1e-20"),
            (-5.123e-7, "-5.12e-7", "-0.0000005123", "-5.123e-7"),
            (f64::NAN, "NaN", "NaN", "NaN"),
            (f64::NEG_INFINITY, "-inf", "-inf", "-inf"),
        ] {
            assert_eq!(four_decimals(value), four);
            assert_eq!(number(value), all);
            assert_eq!(significant(value), few);
        }
        assert_eq!(four_decimals(-0.0), "0.0000");
        assert_eq!(number(1e30f32), "1e30");
        assert_eq!([0, 1, 2].map(|n| counted(n, "epoch")), ["0 epochs", "1 epoch", "2 epochs"]);
    }

    #[test]
    fn misspelled_names_have_a_similar_one() {
        let names = ["mnist", "fashion-mnist", "kmnist", "digits"];
        for (found, expected) in [
            ("minst", Some("mnist")),
            ("MNIST", Some("mnist")),
            ("mnits", Some("mnist")),
            ("mist", Some("mnist")),
            ("fashion_mnist", Some("fashion-mnist")),
            ("fashion", Some("fashion-mnist")),
            ("digit", Some("digits")),
            ("cifar10", None),
            ("my-digits", None),
            ("dig", Some("digits")),
            ("d", None),
            ("", None),
        ] {
            assert_eq!(similar(found, names), expected, "{found}");
        }
        assert_eq!((similar("rnu", ["run"]), similar("s", ["r"])), (Some("run"), None));
        let metrics = ["acc", "mae", "rmse", "roc_auc", "f1_macro", "f1_weighted"];
        for (found, expected) in [
            ("mse", Some("rmse")),
            ("auc", Some("roc_auc")),
            ("f1", Some("f1_macro")),
            ("macro", Some("f1_macro")),
            ("f", None),
        ] {
            assert_eq!(similar(found, metrics), expected, "{found}");
        }
    }

    #[test]
    fn a_long_line_is_quoted_around_its_error() {
        let message =
            |text: &str| with_line(&toml::from_str::<toml::Table>(text).unwrap_err(), text);
        assert!(message("a = 1\n b =").starts_with("line 2 (b =): "));
        let (many, zeros) = ("1, ".repeat(100_000), "0".repeat(300));
        let wrong = message(&format!("a = [{many}x, {many}]"));
        let quoted = wrong.strip_prefix("line 1 (…").and_then(|rest| rest.split_once("…): "));
        let (quoted, _) = quoted.unwrap_or_else(|| panic!("{wrong}"));
        assert!(quoted.contains("x,") && quoted.chars().count() <= 120, "{wrong}");
        let wrong = message(&format!("é = = {zeros}"));
        assert!(wrong.starts_with("line 1 (é = = 000") && wrong.contains("0…): "), "{wrong}");
        let wrong = message(&format!("é = \"{zeros}"));
        assert!(wrong.chars().count() < 300, "{wrong}");
    }

    #[test]
    fn text_is_recognized_by_its_first_bytes() {
        for (start, expected) in [
            (&b" <!DOCTYPE html>"[..], Some(TextFile::Markup)),
            (b"version https://git-lfs.github.com/spec/v1", Some(TextFile::LfsPointer)),
            (b"version https://", Some(TextFile::LfsPointer)),
            (b"[fit]\nepochs = 3", Some(TextFile::Other)),
            (b"", None),
            (b"\n", None),
            (b"ab\0c", None),
            (b"\x89PNG\r\n", None),
            (b"\xef\xbb\xbftext", Some(TextFile::Other)),
            ("Maße und".as_bytes(), Some(TextFile::Other)),
            (&"Maße".as_bytes()[..3], Some(TextFile::Other)),
            (b"\x93NUMPY", None),
        ] {
            assert_eq!(TextFile::of(start), expected, "{start:?}");
        }
    }
}
