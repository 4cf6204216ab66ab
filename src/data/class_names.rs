//! The names of classes: their rules, and `classes.txt`, which holds those of a folder.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use super::error::{DataError, DatasetProblem, FolderProblem};
use super::find_files;
use super::open_file::ordinary;
use super::targets::TargetKind;

/// The file's name in a data set's folder.
pub(super) const FILE: &str = "classes.txt";
/// 256 names of 100 characters, four bytes each, and line ends: nothing longer is read.
const MAX_BYTES: u64 = 256 * (4 * 100 + 4) + 4;
const MAX_CHARS: usize = 100;

/// Returns the names in `folder`, `None` if it has no such file. A byte order mark, UTF-16 and the line ends of
/// all systems are understood, and white space around names and at the end of the file is ignored.
///
/// # Errors
/// A file that cannot be read, or anything but 2 to 256 different, short names.
pub(super) fn read(folder: &Path) -> Result<Option<Vec<String>>, DataError> {
    // Some editors and systems change the case.
    let Some(path) = find_files::exact_or_any_case(folder, FILE)? else { return Ok(None) };
    let (file, _) = ordinary(&path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::read(&path, source))?;
    let wrong = |found| DataError::folder(&path, FolderProblem::Names(found));
    parse(&bytes).and_then(|names| distinct(&names).map(|()| Some(names))).map_err(wrong)
}

/// Returns the names in the contents of a `classes.txt`.
///
/// # Errors
/// Anything but 2 to 256 different, short names in UTF-8 or, with a byte order mark, UTF-16.
pub fn parse_class_names(bytes: &[u8]) -> Result<Vec<String>, DatasetProblem> {
    parse(bytes).map_err(DatasetProblem::ClassNames)
}

fn parse(bytes: &[u8]) -> Result<Vec<String>, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("a file of more than {MAX_BYTES} bytes"));
    }
    let text = decode(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    check(&names, "line").map(|()| names)
}

fn decode(bytes: &[u8]) -> Result<String, String> {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks();
        let units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
        let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
        text.ok_or_else(|| "UTF-16 that is damaged".to_owned())
    };
    // Windows PowerShell writes it.
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).map_err(|error| {
            format!("a byte that is not UTF-8 at position {}", error.utf8_error().valid_up_to())
        }),
    }
}

/// Returns the contents of the `classes.txt` with these names.
///
/// # Errors
/// Names that would not be read back unchanged.
pub(super) fn encode(names: &[String]) -> Result<Vec<u8>, DatasetProblem> {
    let wrong = DatasetProblem::ClassNames;
    check_class_names(names)?;
    distinct(names).map_err(wrong)?;
    let bytes = (names.join("\n") + "\n").into_bytes();
    let read = parse(&bytes).map_err(wrong)?;
    match names.iter().zip(&read).find(|(name, read)| name != read) {
        None => Ok(bytes),
        Some((name, _)) => {
            Err(wrong(format!("a space or a mark at an end of the name {}", escaped(name))))
        }
    }
}

/// Checks that names differ in more than white space, invisible characters and their form in Unicode: people
/// and file systems could not distinguish them otherwise.
pub(super) fn distinct(names: &[String]) -> Result<(), String> {
    let mut seen: HashMap<String, &String> = HashMap::new();
    for name in names {
        if let Some(first) = seen.insert(key(name), name) {
            let [first, name] = [first, name].map(|name| escaped(name));
            return Err(format!(
                "{first} and {name}, which differ in nothing but spaces or the form of their letters in Unicode"
            ));
        }
    }
    Ok(())
}

/// Returns the name composed (NFC). Systems differ in the form of the names of folders and files; without the cargo
/// feature `images`, which makes data sets of folders, the name stays as it is.
#[cfg(feature = "images")]
pub(super) fn composed(name: &str) -> String {
    unicode_normalization::UnicodeNormalization::nfc(name).collect()
}
#[cfg(not(feature = "images"))]
pub(super) fn composed(name: &str) -> String {
    name.to_owned()
}

/// Returns the visible form of a name: composed, and without white space and invisible characters.
pub(super) fn key(name: &str) -> String {
    const INVISIBLE: [char; 7] =
        ['\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{feff}'];
    let visible = |c: &char| !c.is_whitespace() && !INVISIBLE.contains(c) && *c != '\u{2060}';
    composed(name).chars().filter(visible).collect()
}

/// Returns the name in quotes, with everything but ASCII escaped: `"caf\u{e9}"`.
pub(super) fn escaped(name: &str) -> String {
    format!("\"{}\"", name.escape_default())
}

/// Checks names that come from elsewhere, such as a run's records, by the rules of `classes.txt`: 2
/// to 256 different ones of 1 to 100 characters, none of them a control character. Names that differ only in white
/// space or, with the cargo feature `images`, in their form in Unicode are not different.
///
/// # Errors
/// The first name that breaks a rule, by its number from 1, or the number of names.
pub fn check_class_names(names: &[String]) -> Result<(), DatasetProblem> {
    check(names, "name").and_then(|()| distinct(names)).map_err(DatasetProblem::ClassNames)
}

/// Checks the names of targets of a kind: those of classes like [`check_class_names`], those of labels and numbers
/// by the same rules, except that there is at least one of them and no limit.
///
/// # Errors
/// Like [`check_class_names`].
pub fn check_target_names(kind: TargetKind, names: &[String]) -> Result<(), DatasetProblem> {
    if kind.is_class() {
        return check_class_names(names);
    }
    let problem = match names.is_empty() {
        true => Err("none".to_owned()),
        false => check_each(names, "name").and_then(|()| distinct(names)),
    };
    problem.map_err(DatasetProblem::TargetNames)
}

/// Returns the first violation of the rules, with its `place` counted from 1.
fn check(names: &[String], place: &str) -> Result<(), String> {
    check_each(names, place)?;
    match names.len() {
        2..=256 => Ok(()),
        1 => Err("1 name".to_owned()),
        found => Err(format!("{found} names")),
    }
}

fn check_each(names: &[String], place: &str) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (number, name) in (1..).zip(names) {
        // Before an empty one: a line break alone is no empty name to who reads the array.
        if let Some(c) = name.chars().find(|c| c.is_control()) {
            return Err(format!("the control character {c:?} in {place} {number}"));
        }
        if name.trim().is_empty() {
            return Err(format!("an empty {place} {number}"));
        }
        let chars = name.chars().count();
        if chars > MAX_CHARS {
            return Err(format!("{chars} characters in {place} {number}"));
        }
        if !seen.insert(name) {
            return Err(format!("{name:?} again in {place} {number}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_common_form() {
        let names = |text: &str| parse(text.as_bytes());
        assert_eq!(names("cat\ndog"), Ok(vec!["cat".into(), "dog".into()]));
        assert_eq!(names("\u{feff}cat \r\ndog\r\n\r\n"), names("cat\ndog"));
        assert_eq!(names("cat\rdog\r"), names("cat\ndog"));
        let utf_16: Vec<u16> = "\u{feff}cat\r\nd\u{f6}g\r\n".encode_utf16().collect();
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = utf_16.iter().flat_map(|&unit| bytes(unit)).collect();
            assert_eq!(parse(&bytes), names("cat\nd\u{f6}g"));
        }
        let all: Vec<String> = (0..256).map(|i| format!("{i:0>100}")).collect();
        assert_eq!(names(&all.join("\r\n")), Ok(all.clone()));
    }

    #[test]
    fn names_from_elsewhere_follow_the_same_rules() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            check_class_names(&names).map_err(|problem| problem.to_string())
        };
        assert_eq!(check(&["T-shirt/top", "o (お)"]), Ok(()));
        for (names, found) in [
            (&[][..], "0 names"),
            (&["cat"], "1 name"),
            (&["cat", " "], "an empty name 2"),
            (&["cat", "dog", "cat"], "\"cat\" again in name 3"),
            (&["cat", "\n"], "the control character '\\n' in name 2"),
            (&["cat", "d\ng"], "the control character '\\n' in name 2"),
            (&["cat", &"x".repeat(101)], "101 characters in name 2"),
            (&[&"y"; 300].map(|_| "y"), "\"y\" again in name 2"),
        ] {
            let error = check(names).unwrap_err();
            assert!(error.contains(&format!("found {found}: ")), "{error}");
        }
        let differ = "differ in nothing but spaces or the form of their letters";
        let forms = cfg!(feature = "images").then_some(["\u{e9}", "e\u{301}"]);
        for names in [["a", "a "], ["a", " a"], ["t shirt", "tshirt"]].into_iter().chain(forms) {
            let error = check(&names).unwrap_err();
            assert!(error.contains(differ), "{error}");
        }
        let many: Vec<String> = (0..257).map(|i| i.to_string()).collect();
        assert!(check_class_names(&many).unwrap_err().to_string().contains("found 257 names"));
    }

    #[test]
    fn invalid_lists_of_names_are_refused() {
        let wrong = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert_eq!(wrong(""), "0 names");
        assert_eq!(wrong("cat\n"), "1 name");
        assert_eq!(wrong("cat\n\ndog"), "an empty line 2");
        assert_eq!(wrong("cat\ndog\ncat"), "\"cat\" again in line 3");
        assert_eq!(wrong("c\tt\ndog"), "the control character '\\t' in line 1");
        assert_eq!(wrong(&format!("cat\n{}", "x".repeat(101))), "101 characters in line 2");
        let many: String = (0..257).map(|i| format!("{i}\n")).collect();
        assert_eq!(wrong(&many), "257 names");
        assert!(wrong(&"x".repeat(200_000)).starts_with("a file of more than"));
        assert_eq!(parse(b"cat\nd\xffg").unwrap_err(), "a byte that is not UTF-8 at position 5");
    }
}
