//! `classes.txt`: the names of a folder's classes.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::error::{DataError, FolderProblem};

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
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(DataError::read(&path, source)),
    }
    let wrong = |found| DataError::folder(&path, FolderProblem::Names(found));
    parse(bytes).map(Some).map_err(wrong)
}

fn parse(bytes: Vec<u8>) -> Result<Vec<String>, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("a file of more than {MAX_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!(
            "a byte that is no UTF-8 at position {}",
            error.utf8_error().valid_up_to()
        )
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
    let mut names: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for (number, line) in (1..).zip(text.lines()) {
        let name = line.trim();
        if name.is_empty() {
            return Err(format!("an empty line {number}"));
        }
        let chars = name.chars().count();
        if chars > MAX_CHARS {
            return Err(format!("{chars} characters in line {number}"));
        }
        if let Some(c) = name.chars().find(|c| c.is_control()) {
            return Err(format!("the control character {c:?} in line {number}"));
        }
        if !seen.insert(name) {
            return Err(format!("{name:?} again in line {number}"));
        }
        names.push(name.to_owned());
    }
    match names.len() {
        2..=256 => Ok(names),
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
    fn what_is_no_list_of_names_is_refused() {
        let wrong = |text: &str| parse(text.into()).unwrap_err();
        assert_eq!(wrong(""), "0 names");
        assert_eq!(wrong("cat\n"), "1 name");
        assert_eq!(wrong("cat\n\ndog"), "an empty line 2");
        assert_eq!(wrong("cat\ndog\ncat"), "\"cat\" again in line 3");
        assert_eq!(wrong("c\tt\ndog"), "the control character '\\t' in line 1");
        assert_eq!(
            wrong(&format!("cat\n{}", "x".repeat(101))),
            "101 characters in line 2"
        );
        let many: String = (0..257).map(|i| format!("{i}\n")).collect();
        assert_eq!(wrong(&many), "257 names");
        assert!(wrong(&"x".repeat(200_000)).starts_with("a file of more than"));
        assert_eq!(
            parse(b"cat\nd\xffg".to_vec()).unwrap_err(),
            "a byte that is no UTF-8 at position 5"
        );
    }
}
