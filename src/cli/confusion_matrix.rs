//! The confusion matrix for a terminal.

use std::fmt::Write as _;

use console::style;

/// The most classes that a table stays readable with.
const MOST: usize = 20;
/// The most characters of a name above its column.
const NAME: usize = 10;

/// Formats the confusion matrix (rows: true classes; columns: predictions), with zeros as dots.
///
/// Returns `None` if there are too many classes. With `colored`, correct predictions are green and wrong ones red.
pub fn table(confusion: &[Vec<u64>], names: &[impl AsRef<str>], colored: bool) -> Option<String> {
    if names.len() > MOST || confusion.len() != names.len() {
        return None;
    }
    let short = |name: &str| name.chars().take(NAME).collect::<String>();
    let names: Vec<String> = names.iter().map(|name| short(name.as_ref())).collect();
    let size = |text: &str| console::measure_text_width(text);
    let longest = names.iter().map(|name| size(name)).max()?;
    let digits = confusion.iter().flatten().max()?.to_string().len();
    let width = longest.max(digits).max(1);
    let padded = |text: &str| format!("{}{text}", " ".repeat(width.saturating_sub(size(text))));
    let mut lines = format!("{} ", " ".repeat(width));
    names.iter().for_each(|name| {
        let _ = write!(lines, " {}", padded(name));
    });
    lines.push_str("  <- predicted\n");
    for (row, (counts, name)) in confusion.iter().zip(&names).enumerate() {
        let _ = write!(lines, "{} ", padded(name));
        for (column, &count) in counts.iter().enumerate() {
            let text = padded(&if count == 0 { "·".to_owned() } else { count.to_string() });
            let cell = style(text).force_styling(colored);
            let cell = match (count, row == column) {
                (0, _) => cell.dim(),
                (_, true) => cell.green(),
                (_, false) => cell.red(),
            };
            let _ = write!(lines, " {cell}");
        }
        lines.push('\n');
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_true_classes_and_columns_are_predictions() {
        let confusion = [vec![980, 0], vec![3, 1132]];
        let text = table(&confusion, &["no", "yes"], false).unwrap();
        assert_eq!(text, "        no  yes  <- predicted\n  no   980    ·\n yes     3 1132\n");
        let colored = table(&confusion, &["no", "yes"], true).unwrap();
        assert!(colored.contains("\u{1b}[31m") && colored.contains("\u{1b}[32m"));
        assert_eq!(console::strip_ansi_codes(&colored), text);
        assert!(table(&vec![vec![1; 21]; 21], &["x"; 21], false).is_none());
        let long = table(&[vec![1, 0], vec![0, 1]], &["a very long name", "日本"], false).unwrap();
        let widths: Vec<usize> = long.lines().map(console::measure_text_width).collect();
        assert_eq!(widths[1], widths[2], "{long}");
    }
}
