//! Tests that the source has the structure that ARCHITECTURE.md describes: modules import only from floors below
//! theirs, files import each other in no circle, and `unsafe`, clap and anyhow stay where they belong. They read
//! `src/` as text, without unit tests.

#[path = "architecture/circles.rs"]
mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of `src/`, bottom to top. A module may use those of lower floors, and not those of its own.
const FLOORS: &[&[&str]] = &[
    &["native", "atomic_files", "rng", "message_text", "f32_range"],
    &[
        "device",
        "formats",
        "layers",
        "libtorch",
        "tensors",
        "precision",
        "target_scaling",
        "config_error",
        "free_memory",
    ],
    &["group"],
    &["data", "model"],
    &["losses", "metrics"],
    &["evaluate"],
    &["export"],
    &["import", "train"],
    &["run"],
    &["error", "report", "serve"],
    &["cli"],
];

/// The modules that own what the crate's root re-exports.
const REEXPORTED: &[(&str, &str)] = &[
    ("Device", "device"),
    ("EvaluateError", "evaluate"),
    ("Loss", "losses"),
    ("LibtorchError", "native"),
    ("OutputActivation", "model"),
    ("Activation", "layers"),
    ("Sequential", "model"),
    ("FitConfig", "train"),
    ("ConfigError", "config_error"),
];

struct Source {
    /// Relative to `src/`.
    path: PathBuf,
    /// Without comments, strings and the unit tests at the end.
    code: String,
}

impl Source {
    fn module(&self) -> String {
        let first = self.path.iter().next().unwrap().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    /// Returns the names that follow `crate::` in paths and import lists.
    fn imports(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for rest in self.code.split("crate::").skip(1) {
            match rest.strip_prefix('{') {
                None => names.extend(identifier(rest)),
                Some(list) => names.extend(first_names(list)),
            }
        }
        names
    }

    fn has_word(&self, word: &str) -> bool {
        has_word(&self.code, word)
    }
}

fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part)
    })
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

/// Returns the first name of each path in an import list, up to its closing brace.
fn first_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut starts) = (0, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts = true,
            c if starts && !c.is_whitespace() => {
                names.extend(identifier(&list[at..]));
                starts = false;
            }
            _ => {}
        }
    }
    names
}

/// Removes comments, the contents of strings, and everything from the unit tests on.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let (mut code, mut in_string) = (String::new(), false);
    for line in text.lines() {
        let mut characters = line.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                // A character: '"', '\\'.
                '\'' if !in_string && line[at..].starts_with("'\\") => drop(characters.nth(2)),
                '\'' if !in_string && line[at..].starts_with("'\"'") => drop(characters.nth(1)),
                '\\' if in_string => drop(characters.next()),
                '"' => in_string = !in_string,
                '/' if !in_string && line[at..].starts_with("//") => break,
                _ if in_string => {}
                _ => code.push(c),
            }
        }
        code.push('\n');
    }
    assert!(!in_string, "a string has no end:\n{text}");
    code
}

fn sources() -> Vec<Source> {
    fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let code = code_of(&fs::read_to_string(&path).unwrap());
                sources.push(Source { path: path.strip_prefix(root).unwrap().to_owned(), code });
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &root, &mut sources);
    // Files that hold nothing but unit tests are named so.
    sources.retain(|source| source.path.file_name().is_some_and(|name| name != "tests.rs"));
    assert!(sources.len() > 200, "only {} files found", sources.len());
    sources
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Returns the imports that the floors do not allow.
fn upward(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| !["lib", "main"].contains(&&*source.module())) {
        let module = source.module();
        let Some(own) = floor(&module) else {
            wrong.push(format!("src/{} is on no floor", source.path.display()));
            continue;
        };
        for name in source.imports() {
            let owner = REEXPORTED.iter().find(|(reexported, _)| *reexported == name);
            let target = owner.map_or(&*name, |(_, owner)| owner);
            if target != module && floor(target).is_none_or(|target| target >= own) {
                wrong.push(format!("src/{} uses crate::{name}", source.path.display()));
            }
        }
    }
    wrong
}

#[test]
fn modules_import_only_from_floors_below() {
    let wrong = upward(&sources());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_import_from_a_floor_above_is_found() {
    let source = |path: &str, text: &str| Source { path: path.into(), code: code_of(text) };
    for (path, text, found) in [
        ("data/idx.rs", "use crate::train::FitConfig;", true),
        ("data/idx.rs", "use crate::{native, run::Run};", true),
        ("data/idx.rs", "fn f() { crate::model::g() }", true),
        ("data/idx.rs", "use crate::unknown::X;", true),
        ("elsewhere.rs", "", true),
        (
            "data/idx.rs",
            "use crate::{native::{self, ffi}, atomic_files};\nuse crate::data::error;",
            false,
        ),
        ("data/idx.rs", "// use crate::train::FitConfig;\nlet x = \"crate::train\";", false),
        ("data/idx.rs", "#[cfg(test)]\nmod tests { use crate::train::FitConfig; }", false),
        ("train/mod.rs", "use crate::layers::Dense;", false),
    ] {
        assert_eq!(!upward(&[source(path, text)]).is_empty(), found, "{path}: {text}");
    }
}

#[test]
fn unsafe_code_is_only_in_native() {
    let sources = sources();
    let with = sources.iter().filter(|source| source.has_word("unsafe"));
    let (inside, outside): (Vec<_>, Vec<_>) = with.partition(|source| source.module() == "native");
    let outside: Vec<_> = outside.iter().map(|source| source.path.display()).collect();
    assert!(outside.is_empty(), "unsafe is used in {outside:?}");
    assert!(!inside.is_empty());
}

#[test]
fn clap_and_anyhow_are_only_in_the_program() {
    for name in ["clap", "anyhow", "indicatif"] {
        let (inside, outside): (Vec<_>, Vec<_>) = sources()
            .into_iter()
            .filter(|source| source.has_word(name))
            .partition(|source| ["cli", "main"].contains(&&*source.module()));
        let outside: Vec<_> = outside.iter().map(|source| source.path.display()).collect();
        assert!(outside.is_empty(), "{name} is used in {outside:?}");
        assert!(!inside.is_empty(), "{name} is used nowhere");
    }
}

/// ARCHITECTURE.md lists the same floors, bottom to top, and names only files that exist.
#[test]
fn architecture_page_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let floors = FLOORS.iter().map(|floor| {
        let names: Vec<String> = floor.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    });
    let numbered = (1..).zip(floors).map(|(number, names)| format!("{number}. {names}"));
    for line in numbered {
        assert!(page.lines().any(|found| found == line), "ARCHITECTURE.md lacks {line:?}");
    }
    let named = page.split('`').skip(1).step_by(2);
    let paths: Vec<&str> = named
        .filter(|name| {
            ["src/", "tests/", "scripts/", "csrc/", "docs/"].iter().any(|p| name.starts_with(p))
        })
        .filter(|name| !name.contains(['*', '{', '<', ' ']))
        .collect();
    assert!(paths.len() > 20);
    for path in paths {
        assert!(root.join(path).exists(), "ARCHITECTURE.md names {path}");
    }
}
