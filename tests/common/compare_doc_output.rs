//! Compares a program's output with the output shown on a documentation page, allowing for differences
//! between machines, times and data.

use std::collections::HashMap;

/// How close the output must be to the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Closeness {
    /// Identical except for times and speeds: MNIST, on the machine that the page was recorded on.
    Same,
    /// Numbers with a point within 0.03 or a third, percentages within 2 points, learning rates within a factor
    /// of 4, counts in a confusion matrix within 30, numbers of epochs and batches within a half; all others
    /// identical. This is for MNIST on another machine, where the last bits of sums differ, and so does
    /// everything computed from them.
    Near,
    /// The same words with any numbers: other data.
    Words,
}

/// A token of a line.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Word(String),
    Number(String),
}

/// Braille dots, half-blocks and frames of terminal plots.
fn is_drawn(c: char) -> bool {
    matches!(c, '\u{2800}'..='\u{28ff}' | '▀' | '▄' | '█')
}

/// Returns whether exactly three digits follow: 100,480 is one number, and 1,0.25 are two.
fn thousands(rest: &[u8]) -> bool {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits == 3 && rest.get(3) != Some(&b'.')
}

/// Splits a line into words and numbers, ignoring the width of gaps. Every time or speed becomes the same
/// placeholder word.
fn pieces(line: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let numeric = |c: char| c.is_ascii_digit() || c == '·';
        if numeric(first) {
            let mut end = first.len_utf8();
            let bytes = rest.as_bytes();
            while first != '·' && end < rest.len() {
                let next_is_digit = bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
                let after_sign = bytes.get(end + 2).is_some_and(u8::is_ascii_digit);
                match bytes[end] {
                    b'0'..=b'9' => end += 1,
                    b'.' if next_is_digit => end += 1,
                    b',' if thousands(&bytes[end + 1..]) => end += 1,
                    b'e' if next_is_digit => end += 1,
                    b'e' if after_sign && bytes[end + 1] == b'-' => end += 2,
                    _ => break,
                }
            }
            pieces.push(Piece::Number(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            let end = rest.find(numeric).unwrap_or(rest.len());
            let words: Vec<&str> = rest[..end].split_whitespace().collect();
            let text = words.join(" ");
            let last_is_number = matches!(pieces.last(), Some(Piece::Number(_)));
            let timed = [" samples/s", "s left", "m left", " seconds", " s,"];
            let unit = timed.iter().find_map(|unit| rest[..end].strip_prefix(unit).map(|_| unit));
            if let (true, Some(unit)) = (last_is_number, unit) {
                pieces.pop();
                let unit = if unit.ends_with("left") { "TIME left" } else { "SPEED" };
                pieces.push(Piece::Word(unit.to_owned()));
                let words = text.trim_start_matches(|c: char| !c.is_whitespace());
                pieces.push(Piece::Word(words.trim().to_owned()));
            } else if !text.is_empty() {
                pieces.push(Piece::Word(text));
            }
            rest = &rest[end..];
        }
    }
    pieces
}

/// Returns whether a line is a row of a confusion matrix: only numbers, or a name and numbers.
fn is_matrix(pieces: &[Piece]) -> bool {
    let numbers = pieces.iter().filter(|piece| matches!(piece, Piece::Number(_))).count();
    numbers >= 3
        && pieces.len() - numbers <= 1
        && !pieces.iter().any(|piece| match piece {
            Piece::Number(text) => text.contains(['.', ',', 'e']),
            Piece::Word(_) => false,
        })
}

fn value(text: &str) -> f64 {
    if text == "·" { 0.0 } else { text.replace(',', "").parse().unwrap_or(f64::NAN) }
}

fn same(expected: &str, found: &str, closeness: Closeness) -> bool {
    let (expected, found) = (pieces(expected), pieces(found));
    if expected.len() != found.len() {
        return false;
    }
    let matrix = is_matrix(&expected);
    (0..expected.len()).all(|i| match (&expected[i], &found[i]) {
        (Piece::Word(a), Piece::Word(b)) => a == b,
        (Piece::Number(a), Piece::Number(b)) => match closeness {
            Closeness::Words => true,
            Closeness::Same => a == b,
            Closeness::Near => {
                let word = |at: Option<usize>| match at.and_then(|at| expected.get(at)) {
                    Some(Piece::Word(word)) => word.as_str(),
                    _ => "",
                };
                let (before, after) = (word(i.checked_sub(1)), word(Some(i + 1)));
                let (x, y) = (value(a), value(b));
                let counted = ["epoch", "batches"];
                let counted = counted.iter().any(|w| before.contains(w) || after.starts_with(w));
                match () {
                    // Addresses and versions have no value.
                    () if a == b => true,
                    () if matrix => (x - y).abs() <= 30.0,
                    () if after.starts_with('%') => (x - y).abs() <= 2.0,
                    () if counted && !a.contains('.') => (x - y).abs() <= x.max(y) / 2.0,
                    () if a.contains('e') => (0.25..=4.0).contains(&(x / y)),
                    () if a.contains('.') => {
                        (x - y).abs() <= 0.03 || (x - y).abs() <= x.abs().max(y.abs()) / 3.0
                    }
                    () => a == b,
                }
            }
        },
        _ => false,
    })
}

/// Returns the lines to compare, without plots where those may differ.
fn comparable(lines: &[String], closeness: Closeness) -> Vec<String> {
    let lines = lines.iter().map(|line| line.trim_end().to_owned());
    if closeness == Closeness::Same {
        return lines.collect();
    }
    let undrawn = lines.filter_map(|line| match line.contains(is_drawn) {
        true => Some(line.replace(is_drawn, " ")).filter(|line| !line.trim().is_empty()),
        false => Some(line),
    });
    undrawn.collect()
}

/// Pairs the expected lines with the found ones, or returns `None` if they do not match; `…` matches any
/// number of lines.
fn pairs<'a>(
    expected: &'a [String],
    found: &'a [String],
    closeness: Closeness,
) -> Option<Vec<(&'a str, &'a str)>> {
    match expected {
        [] => found.is_empty().then(Vec::new),
        [dots, rest @ ..] if dots == "…" => {
            (0..=found.len()).find_map(|skipped| pairs(rest, &found[skipped..], closeness))
        }
        [first, rest @ ..] => {
            let (line, found) = found.split_first()?;
            let mut all = pairs(rest, found, closeness).filter(|_| same(first, line, closeness))?;
            all.push((first, line));
            Some(all)
        }
    }
}

/// Returns whether the output matches the expected lines.
pub fn agree(expected: &[String], found: &[String], closeness: Closeness) -> bool {
    let (expected, found) = (comparable(expected, closeness), comparable(found, closeness));
    pairs(&expected, &found, closeness).is_some()
}

/// Losses and accuracies found on a page, keyed by their description. A metric that occurs twice, such as in
/// a training run and in its evaluation, must have the same value in both places on any machine and any data.
#[derive(Debug, Default)]
pub struct Metrics(HashMap<String, String>);

impl Metrics {
    /// Collects the metrics from lines that [`agree`].
    ///
    /// # Errors
    /// A metric that had another value before, with both values.
    pub fn add(
        &mut self,
        expected: &[String],
        found: &[String],
        closeness: Closeness,
    ) -> Result<(), String> {
        let (expected, found) = (comparable(expected, closeness), comparable(found, closeness));
        for (expected, found) in pairs(&expected, &found, closeness).unwrap_or_default() {
            if !["loss", "accuracy"].iter().any(|word| expected.contains(word)) {
                continue;
            }
            for (a, b) in pieces(expected).into_iter().zip(pieces(found)) {
                // At least three significant digits, and not 100 %: shorter numbers coincide by chance.
                let (Piece::Number(a), Piece::Number(b)) = (a, b) else { continue };
                let digits = a.trim_start_matches(['0', '.']).chars().filter(char::is_ascii_digit);
                if !a.contains('.') || digits.count() < 3 || [1.0, 100.0].contains(&value(&a)) {
                    continue;
                }
                let before = self.0.entry(a.clone()).or_insert_with(|| b.clone());
                if *before != b {
                    return Err(format!("{a} stands for one metric, but is {before} and {b}"));
                }
            }
        }
        Ok(())
    }
}

/// Returns the updated page lines for this output. The number of lines between `…` stays the same, and they
/// are the first ones with the same words.
pub fn updated(expected: &[String], found: &[String]) -> Vec<String> {
    let parts: Vec<&[String]> = expected.split(|line| line == "…").collect();
    let [first, .., last] = &parts[..] else {
        return found.to_vec();
    };
    let by_hand = format!("{expected:?} cannot be updated from {found:?}: change it by hand");
    assert!(first.len() + last.len() <= found.len(), "{by_hand}");
    let mut new = found[..first.len()].to_vec();
    let (mut at, end) = (first.len(), found.len() - last.len());
    for part in &parts[1..parts.len() - 1] {
        let same = |from: &usize| agree(part, &found[*from..*from + part.len()], Closeness::Words);
        let last_place = (end + 1).saturating_sub(part.len());
        let place = (at..last_place).find(same).expect(&by_hand);
        new.push("…".to_owned());
        new.extend_from_slice(&found[place..place + part.len()]);
        at = place + part.len();
    }
    new.push("…".to_owned());
    new.extend_from_slice(&found[end..]);
    new
}
