//! Circles of imports between the files of `src/`. A file imports those that own the names in its `use` lines and in
//! its paths that begin with `crate`, `super`, `self` or one of its own modules. A re-export is no import of the file
//! that has it, unless that file uses the name itself; whoever imports the name imports its owner.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, code_of, has_word, sources};

/// The path of a module without `crate`: `["data", "idx"]` for data/idx.rs, nothing for lib.rs.
type Path = Vec<String>;

/// Imports, each with its file first, that are not counted.
const IGNORED: &[(&str, &str)] = &[
    // Its error has a variant of the same name as the type that it re-exports.
    ("group", "group/mpi"),
    // A block of layers is itself one of the layers.
    ("layers", "layers/residual"),
];

/// A name that a `use` line brings into a file.
struct Import {
    path: Path,
    name: String,
    is_public: bool,
}

/// A file, taken apart.
struct File {
    module: Path,
    imports: Vec<Import>,
    /// Its code without the `use` lines and the declarations of modules in other files.
    rest: String,
}

impl File {
    fn of(source: &Source) -> Self {
        let path = source.path.with_extension("");
        let mut module: Path = path.iter().map(|part| part.to_string_lossy().into()).collect();
        module.pop_if(|name| ["lib", "mod"].contains(&name.as_str()));
        let (mut imports, mut rest) = (Vec::new(), String::new());
        for piece in source.code.split_inclusive(';') {
            if piece.split_whitespace().rev().nth(1) == Some("mod") {
                rest.push_str(piece.rsplit_once("mod ").unwrap().0);
                continue;
            }
            let Some(at) = start_of_use(piece) else {
                rest.push_str(piece);
                continue;
            };
            let (before, tree) = piece.split_at(at);
            // `pub use`, `pub(super) use`.
            let is_public = before.trim_end().ends_with("pub") || before.trim_end().ends_with(')');
            let tree = tree["use ".len()..].trim_end_matches(';');
            imports.extend(leaves(tree, &[], is_public));
            rest.push_str(before);
        }
        Self { module, imports, rest }
    }

    /// Returns the paths in the code outside of `use` lines, in full.
    fn inline_paths(&self) -> impl Iterator<Item = Path> {
        // `pub(in crate::data)` uses nothing.
        let parts = self.rest.split("(in ").enumerate();
        let code =
            parts.map(|(i, part)| if i > 0 { part.split_once(')').unwrap().1 } else { part });
        code.flat_map(|code| code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')))
            .filter(|word| word.contains("::"))
            .map(segments)
    }
}

/// Returns where the `use` of a piece of code up to a semicolon begins.
fn start_of_use(piece: &str) -> Option<usize> {
    let at = piece.rfind("use ")?;
    let before = piece[..at].chars().next_back();
    before.is_none_or(|c| c.is_whitespace() || "{}".contains(c)).then_some(at)
}

fn segments(path: &str) -> Path {
    path.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Returns the names in the tree of a `use` line: `a::{b, c as d}`.
fn leaves(tree: &str, prefix: &[String], is_public: bool) -> Vec<Import> {
    if let Some((head, list)) = tree.split_once('{') {
        let list = list.trim_end().strip_suffix('}').expect("an import list has an end");
        let prefix = [prefix, &segments(head)].concat();
        let mut depth = 0;
        let parts = list.split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        let parts = parts.filter(|part| !part.trim().is_empty());
        return parts.flat_map(|part| leaves(part, &prefix, is_public)).collect();
    }
    let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
    let mut path = [prefix, &segments(path)].concat();
    path.pop_if(|last| last == "self" || last == "*");
    let name = if alias.is_empty() { path.last().cloned() } else { Some(alias.trim().into()) };
    name.map(|name| Import { path, name, is_public }).into_iter().collect()
}

/// The files by their modules, and where the names are from that they re-export.
struct Tree {
    files: Vec<File>,
    modules: BTreeSet<Path>,
    reexports: BTreeMap<Path, Path>,
}

impl Tree {
    fn of(sources: &[Source]) -> Self {
        // No file imports the program's main.rs.
        let sources = sources.iter().filter(|source| !source.path.ends_with("main.rs"));
        let files: Vec<File> = sources.map(File::of).collect();
        let modules = files.iter().map(|file| file.module.clone()).collect();
        let mut tree = Self { files, modules, reexports: BTreeMap::new() };
        for file in &tree.files {
            for import in file.imports.iter().filter(|import| import.is_public) {
                if let Some(path) = tree.absolute(&file.module, &import.path) {
                    let name = [&file.module[..], std::slice::from_ref(&import.name)].concat();
                    tree.reexports.insert(name, path);
                }
            }
        }
        tree
    }

    /// Returns a path of this crate from its root; none for other crates.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
        let supers = path.iter().take_while(|name| *name == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (module, &path[1..]),
            "super" => (&module[..module.len().checked_sub(supers)?], &path[supers..]),
            first => {
                let own = [module, &[first.to_owned()]].concat();
                (self.modules.contains(&own).then_some(module)?, path)
            }
        };
        Some([base, rest].concat())
    }

    /// Returns the file that owns what is at a path. Modules within a file are part of it.
    fn owner(&self, path: &[String]) -> Path {
        let mut file = Path::new();
        for (i, name) in path.iter().enumerate() {
            file.push(name.clone());
            if self.modules.contains(&file) {
                continue;
            }
            if let Some(target) = self.reexports.get(&file) {
                return self.owner(&[target, &path[i + 1..]].concat());
            }
            file.pop();
        }
        file
    }

    /// Returns the files that each file imports.
    fn imports(&self) -> BTreeMap<Path, BTreeSet<Path>> {
        let of = |file: &File| {
            let own = file.imports.iter();
            let own = own.filter(|own| !own.is_public || has_word(&file.rest, &own.name));
            let paths = own.map(|own| own.path.clone()).chain(file.inline_paths());
            let paths = paths.filter_map(|path| self.absolute(&file.module, &path));
            let owners = paths.map(|path| self.owner(&path));
            let others = |owner: &Path| *owner != file.module && self.modules.contains(owner);
            (file.module.clone(), owners.filter(others).collect())
        };
        self.files.iter().map(of).collect()
    }
}

/// Returns the files of a circle, the first one again at its end.
fn circle(mut imports: BTreeMap<Path, BTreeSet<Path>>) -> Option<Vec<String>> {
    // Those that import nothing that is left are in no circle.
    while let Some(leaf) =
        imports.iter().find(|(_, of)| of.is_empty()).map(|(file, _)| file.clone())
    {
        imports.remove(&leaf);
        imports.values_mut().for_each(|of| of.retain(|import| *import != leaf));
    }
    let mut way = vec![imports.keys().next()?];
    loop {
        let next = imports[way[way.len() - 1]].first()?;
        let seen = way.iter().position(|file| *file == next);
        way.push(next);
        if let Some(start) = seen {
            return Some(way[start..].iter().map(|file| file.join("/")).collect());
        }
    }
}

#[test]
fn files_do_not_import_each_other_in_a_circle() {
    let mut imports = Tree::of(&sources()).imports();
    let count: usize = imports.values().map(BTreeSet::len).sum();
    assert!(count > 500, "only {count} imports found");
    for (file, import) in IGNORED {
        let module = |path: &str| path.split('/').map(str::to_owned).collect::<Path>();
        let found = imports.get_mut(&module(file)).is_some_and(|of| of.remove(&module(import)));
        assert!(found, "{file} no longer imports {import}: remove it from IGNORED");
    }
    if let Some(circle) = circle(imports) {
        panic!("move what these share into a file of its own: {}", circle.join(" imports "));
    }
}

#[test]
fn a_circle_of_imports_is_found() {
    let found = |files: &[(&str, &str)]| {
        let source =
            |(path, text): &(&str, &str)| Source { path: path.into(), code: code_of(text) };
        let sources: Vec<Source> = files.iter().map(source).collect();
        circle(Tree::of(&sources).imports()).map(|files| files.join(" "))
    };
    let parent = "mod a;\nmod b;\npub use a::A;\npub(crate) use b::{B as C, D};\n";
    let tree = |a, b| found(&[("lib.rs", ""), ("m/mod.rs", parent), ("m/a.rs", a), ("m/b.rs", b)]);
    // An import by way of the parent's re-export is one of the owner alone.
    assert_eq!(tree("use super::C;", "pub struct B;"), None);
    assert_eq!(tree("use super::C;", "// use super::A;\nconst X: &str = \"crate::m::A\";"), None);
    assert_eq!(tree("use super::C;", "#[cfg(test)]\nmod tests { use crate::m::A; }"), None);
    assert_eq!(tree("use super::C;", "pub(in crate::m) struct B;"), None);
    let both = Some("m/a m/b m/a".to_owned());
    for b in [
        "use super::A;",
        "use std::{fs, io};\nuse crate::{m::{self, A}, other};",
        "fn f() { use super::a; }",
        "fn f() -> super::a::A { crate::m::A::new() }",
    ] {
        assert_eq!(tree("use super::C;", b), both, "{b}");
    }
    assert_eq!(tree("use super::b::inner::X;", "fn f() -> crate::m::A {}"), both);
    // A parent that uses what it imports or re-exports from a child, and a child that uses the parent's own names.
    let family = |parent, child| found(&[("m.rs", parent), ("m/a.rs", child)]);
    let circle = Some("m m/a m".to_owned());
    assert_eq!(family("mod a;\npub use a::A;\nstruct P;", "use super::P;"), None);
    assert_eq!(family("mod a;\npub use a::A;\nstruct P(A);", "use super::P;"), circle);
    assert_eq!(family("mod a;\nuse a::A;\nstruct P;", "use super::*;"), circle);
    let with_tests = "mod a;\n#[cfg(test)]\nmod tests;\nuse a::A;\nstruct P;";
    assert_eq!(family(with_tests, "use super::P;"), circle);
    assert_eq!(family("mod a;\nfn f() { a::f() }\nmod b;", "fn f() { super::g() }"), circle);
    let three =
        [("x.rs", "use crate::y;"), ("y.rs", "use crate::z::Z;"), ("z.rs", "use crate::x::X;")];
    assert_eq!(found(&three), Some("x y z x".to_owned()));
    assert_eq!(found(&three[1..]), None);
}
