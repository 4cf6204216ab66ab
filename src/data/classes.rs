//! The names of classes: what they may be, and `classes.txt`, which holds those of a folder.

use std::collections::HashSet;
use std::io::{self, Read};
use std::path::Path;

use super::error::{DataError, DatasetProblem, FolderProblem};
use super::open::ordinary;

/// The file's name in a data set's folder.
pub(super) const FILE: &str = "classes.txt";
/// 256 names of 100 characters, four bytes each, and line ends: nothing longer is read.
const MAX_BYTES: u64 = 256 * (4 * 100 + 2) + 3;
const MAX_CHARS: usize = 100;

/// The names in `folder`, `None` if it has no such file. A byte order mark and Windows line ends
/// are understood, and white space around names and at the end of the file does not count.
///
/// # Errors
/// A file that cannot be read, or anything but 2 to 256 different, short names.
pub(super) fn read(folder: &Path) -> Result<Option<Vec<String>>, DataError> {
    let path = folder.join(FILE);
    let file = match ordinary(&path) {
        Ok((file, _)) => file,
        Err(DataError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::read(&path, source))?;
    let wrong = |found| DataError::folder(&path, FolderProblem::Names(found));
    parse(bytes).map(Some).map_err(wrong)
}

/// The names in the contents of a `classes.txt`.
///
/// # Errors
/// Anything but 2 to 256 different, short names in UTF-8.
pub fn parse_class_names(bytes: &[u8]) -> Result<Vec<String>, DatasetProblem> {
    parse(bytes.to_vec()).map_err(DatasetProblem::ClassNames)
}

fn parse(bytes: Vec<u8>) -> Result<Vec<String>, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("a file of more than {MAX_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("a byte that is no UTF-8 at position {}", error.utf8_error().valid_up_to())
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    check(&names, "line").map(|()| names)
}

/// Checks names that stand elsewhere, such as in a run's records, by the rules of `classes.txt`: 2
/// to 256 different ones of 1 to 100 characters, none of them a control character.
///
/// # Errors
/// The first name that breaks a rule, by its number from 1, or the number of names.
pub fn check_class_names(names: &[String]) -> Result<(), DatasetProblem> {
    check(names, "name").map_err(DatasetProblem::ClassNames)
}

/// What breaks the rules, with its `place` counted from 1.
fn check(names: &[String], place: &str) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (number, name) in (1..).zip(names) {
        if name.trim().is_empty() {
            return Err(format!("an empty {place} {number}"));
        }
        let chars = name.chars().count();
        if chars > MAX_CHARS {
            return Err(format!("{chars} characters in {place} {number}"));
        }
        if let Some(c) = name.chars().find(|c| c.is_control()) {
            return Err(format!("the control character {c:?} in {place} {number}"));
        }
        if !seen.insert(name) {
            return Err(format!("{name:?} again in {place} {number}"));
        }
    }
    match names.len() {
        2..=256 => Ok(()),
        1 => Err("1 name".to_owned()),
        found => Err(format!("{found} names")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let names = |text: &str| parse(text.into());
        assert_eq!(names("cat\ndog"), Ok(vec!["cat".into(), "dog".into()]));
        assert_eq!(names("\u{feff}cat \r\ndog\r\n\r\n"), names("cat\ndog"));
        let all: Vec<String> = (0..256).map(|i| format!("{i:0>100}")).collect();
        assert_eq!(names(&all.join("\r\n")), Ok(all.clone()));
    }

    #[test]
    fn names_from_elsewhere_obey_the_same_rules() {
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
            (&["cat", "d\ng"], "the control character '\\n' in name 2"),
            (&["cat", &"x".repeat(101)], "101 characters in name 2"),
            (&[&"y"; 300].map(|_| "y"), "\"y\" again in name 2"),
        ] {
            let error = check(names).unwrap_err();
            assert!(error.contains(&format!("found {found}: ")), "{error}");
        }
        let many: Vec<String> = (0..257).map(|i| i.to_string()).collect();
        assert!(check_class_names(&many).unwrap_err().to_string().contains("found 257 names"));
    }

    #[test]
    fn what_is_no_list_of_names_is_refused() {
        let wrong = |text: &str| parse(text.into()).unwrap_err();
        assert_eq!(wrong(""), "0 names");
        assert_eq!(wrong("cat\n"), "1 name");
        assert_eq!(wrong("cat\n\ndog"), "an empty line 2");
        assert_eq!(wrong("cat\ndog\ncat"), "\"cat\" again in line 3");
        assert_eq!(wrong("c\tt\ndog"), "the control character '\\t' in line 1");
        assert_eq!(wrong(&format!("cat\n{}", "x".repeat(101))), "101 characters in line 2");
        let many: String = (0..257).map(|i| format!("{i}\n")).collect();
        assert_eq!(wrong(&many), "257 names");
        assert!(wrong(&"x".repeat(200_000)).starts_with("a file of more than"));
        assert_eq!(
            parse(b"cat\nd\xffg".to_vec()).unwrap_err(),
            "a byte that is no UTF-8 at position 5"
        );
    }
}
