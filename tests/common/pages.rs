//! The fenced blocks of the documentation: what is in them, what runs them, and whether it says what the
//! page says.
//!
//! | block | what becomes of it |
//! | --- | --- |
//! | `console` | each line behind `$ ` is run by bash, and what it prints is compared with the lines below it |
//! | `python` | executed in one interpreter a page; `text` right below is what it must print |
//! | `rust` | must be lines of a program in examples/, which cargo compiles and a `console` block runs |
//! | any other language | not run: a file, a table, an answer |
//!
//! `<!-- not run: WHY -->` on the line before a block leaves it out, and the test says so.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{idx, not_here};

/// What stands between two fences.
#[derive(Clone, Debug)]
pub struct Block {
    /// The line of its first fence, from 1.
    pub line: usize,
    pub language: String,
    pub lines: Vec<String>,
    /// Why it is not run, if the page says so.
    pub not_run: Option<String>,
    /// Whether nothing but an empty line is between it and the block before.
    pub follows: bool,
}

/// The blocks of a page.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let (mut not_run, mut follows) = (None, false);
    for (number, line) in (1..).zip(page.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let (language, lines) = (language.trim().to_owned(), Vec::new());
                open =
                    Some(Block { line: number, language, lines, not_run: not_run.take(), follows });
            }
            (Some(_), Some("")) => {
                blocks.extend(open.take());
                follows = true;
            }
            (Some(block), _) => block.lines.push(line.to_owned()),
            (None, None) => {
                let reason =
                    line.strip_prefix("<!-- not run: ").and_then(|l| l.strip_suffix(" -->"));
                not_run = reason.map(ToOwned::to_owned);
                follows = follows && line.is_empty();
            }
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// A command of a `console` block, and what the page says that it prints.
#[derive(Clone, Debug)]
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

fn steps(block: &Block) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for (line, text) in (block.line + 1..).zip(&block.lines) {
        let command = match text.strip_prefix("$ ") {
            Some(command) => {
                steps.push(Step { line, command: String::new(), expected: Vec::new() });
                Some(command)
            }
            None => goes_on.then_some(text.as_str()),
        };
        let step = steps.last_mut().unwrap_or_else(|| panic!("line {line} is of no command"));
        match command {
            Some(command) => {
                goes_on = command.ends_with(['\\', '|']);
                step.command += command;
                step.command.push('\n');
            }
            None => step.expected.push(text.clone()),
        }
    }
    steps
}

/// How close what is printed must be to what the page says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Closeness {
    /// The same, but for times and speeds: MNIST, on the machine that the page was made on.
    Same,
    /// Numbers with a point within 0.03 or a third, percentages within 2 points, learning rates within a factor
    /// of 4, counts in a confusion matrix within 30, numbers of epochs and batches within a half; all others the
    /// same. This is MNIST on another machine, where the last bits of sums differ, and with them all that
    /// follows.
    Near,
    /// The same words, whatever the numbers: other data.
    Words,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Word(String),
    Number(String),
}

/// Braille dots, half-blocks and frames of pictures.
fn is_drawn(c: char) -> bool {
    matches!(c, '\u{2800}'..='\u{28ff}' | '▀' | '▄' | '█')
}

/// Words and numbers, without the width of the gaps; a time or a speed is a word that stands for all of them.
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
                    b'.' | b',' if next_is_digit => end += 1,
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

/// A row of a confusion matrix: numbers alone, or a name and numbers.
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

/// Lines to compare: where pictures need not be the same, they are left out.
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

/// The lines that stand for each other, if those found are those expected; `…` stands for any number of lines.
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

/// Whether what was printed is what was expected.
pub fn agree(expected: &[String], found: &[String], closeness: Closeness) -> bool {
    let (expected, found) = (comparable(expected, closeness), comparable(found, closeness));
    pairs(&expected, &found, closeness).is_some()
}

/// Losses and accuracies that a page has seen, by what it says they are. One that it names twice is one figure,
/// as of a training and of its evaluation: it must be the same in both places, whatever the machine and the data.
#[derive(Debug, Default)]
pub struct Figures(HashMap<String, String>);

impl Figures {
    /// Takes up what lines that [`agree`] tell, or says which figure was another before.
    ///
    /// # Errors
    /// The figure, and both values.
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
                // Three digits that count, and no full marks: others are the same by chance.
                let (Piece::Number(a), Piece::Number(b)) = (a, b) else { continue };
                let digits = a.trim_start_matches(['0', '.']).chars().filter(char::is_ascii_digit);
                if !a.contains('.') || digits.count() < 3 || [1.0, 100.0].contains(&value(&a)) {
                    continue;
                }
                let before = self.0.entry(a.clone()).or_insert_with(|| b.clone());
                if *before != b {
                    return Err(format!("{a} stands for one figure, and is {before} and {b}"));
                }
            }
        }
        Ok(())
    }
}

/// What the page should say, from what was printed: the lines between `…` stay as many as they are, and are the
/// first with the same words.
fn updated(expected: &[String], found: &[String]) -> Vec<String> {
    let parts: Vec<&[String]> = expected.split(|line| line == "…").collect();
    let [first, .., last] = &parts[..] else {
        return found.to_vec();
    };
    let by_hand = || panic!("{expected:?} cannot be made anew from {found:?}: change it by hand");
    if first.len() + last.len() > found.len() {
        by_hand();
    }
    let mut new = found[..first.len()].to_vec();
    let (mut at, end) = (first.len(), found.len() - last.len());
    for part in &parts[1..parts.len() - 1] {
        let same = |from: &usize| agree(part, &found[*from..*from + part.len()], Closeness::Words);
        let last_place = (end + 1).saturating_sub(part.len());
        let place = (at..last_place).find(same).unwrap_or_else(|| by_hand());
        new.push("…".to_owned());
        new.extend_from_slice(&found[place..place + part.len()]);
        at = place + part.len();
    }
    new.push("…".to_owned());
    new.extend_from_slice(&found[end..]);
    new
}

/// The machine, as pages name it.
pub fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let fields = cpus.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim()).next()
    };
    let fields = ["model name", "cpu family", "model"].map(|name| field(name).unwrap_or("?"));
    let [name, family, model] = fields;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let libtorch = seqfit::libtorch::version();
    format!("{processors} x {name} (family {family}, model {model}), libtorch {libtorch}")
}

/// The line that says which machine a page's outputs are of.
const RECORDED: &str = "Recorded on: ";

/// A folder to work in, as a reader of the documentation has one.
pub struct Reader {
    home: tempfile::TempDir,
    python: Option<PathBuf>,
    /// The real MNIST.
    mnist: Option<PathBuf>,
    servers: Vec<(Child, String)>,
}

impl Reader {
    /// With MNIST where it is; without it, `seqfit train` and `seqfit lr-find` get the built-in digits, made
    /// as large, in a folder that is called mnist.
    pub fn new(mnist: Option<PathBuf>, python: Option<PathBuf>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let program = env!("CARGO_BIN_EXE_seqfit");
        let data = if mnist.is_none() {
            let stand_in = home.path().join("data/mnist");
            write_large_digits(&stand_in);
            format!(
                "case \"$1 $*\" in\n*--data*|*--resume*) ;;\n\"train \"*|\"lr-find \"*) set -- \"$@\" \
                 --data-dir '{}' ;;\nesac\n",
                stand_in.display()
            )
        } else {
            String::new()
        };
        let docs = home.path().join("docs");
        fs::create_dir(&docs).unwrap();
        let seven = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/seven.png");
        fs::copy(seven, docs.join("seven.png")).unwrap();
        let script = bin.join("seqfit");
        fs::write(&script, format!("#!/bin/sh\n{data}exec '{program}' \"$@\"\n")).unwrap();
        let mut mode = fs::metadata(&script).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        fs::set_permissions(&script, mode).unwrap();
        Self { home, python, mnist, servers: Vec::new() }
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    fn data(&self) -> PathBuf {
        self.mnist.clone().unwrap_or_else(|| self.home.path().join("data/mnist"))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.home.path().join("bin").display());
        command.current_dir(self.home.path()).env("PATH", path);
        command.env("SEQFIT_CACHE", self.home.path().join("cache"));
        command.env("SEQFIT_MIRROR", "http://127.0.0.1:9").env("NO_PROXY", "*");
        command.env_remove("SEQFIT_DATA").env("KERAS_BACKEND", "torch");
        if let Some(data) = self.mnist.as_deref().and_then(Path::parent) {
            command.env("SEQFIT_DATA", data);
        }
        command
    }

    /// What a command prints, stderr and stdout as they come; nothing if it cannot be run here. It must
    /// succeed, unless `fails`.
    fn run(&mut self, command: &str, fails: bool) -> Option<String> {
        let mut command = command.trim_end().to_owned();
        if let Some(rest) = command.strip_prefix("cargo run --release --example ") {
            let (name, arguments) = rest.split_once(" -- ").unwrap_or((rest, ""));
            if name == "tutorial" && self.mnist.is_none() {
                not_here("examples/tutorial.rs, which wants MNIST (set SEQFIT_DATA)");
                return None;
            }
            command = format!("'{}' {arguments}", example(name).display());
        }
        command = with_servers(&command, &self.servers);
        if let Some(server) = command.strip_suffix(" &") {
            return Some(self.serve(server));
        }
        if command.starts_with(".venv/bin/python") {
            let Some(python) = &self.python else {
                not_here(&format!("{command} (it wants .venv)"));
                return None;
            };
            command = command.replacen(".venv/bin/python", &python.display().to_string(), 1);
        }
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut bash = self.command(Path::new("bash"));
        bash.args(["-c", &command]).stdin(Stdio::null());
        let mut child = bash.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        drop(bash);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.success(), !fails, "$ {command}\n{said}{status}");
        Some(said)
    }

    /// Starts `seqfit serve` on any free port; the page's is 8000.
    fn serve(&mut self, command: &str) -> String {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut bash = self.command(Path::new("bash"));
        bash.args(["-c", &format!("exec {command} --port 0")]).stdin(Stdio::null());
        let child = bash.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        drop(bash);
        let mut said = String::new();
        let mut lines = BufReader::new(reader);
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "$ {command}\n{said}");
            let address =
                line.trim().strip_prefix("http://").map(|a| a.trim_end_matches('/').to_owned());
            said += &line;
            if let Some(address) = address {
                break address;
            }
        };
        let shown = format!("127.0.0.1:{}", 8000 + self.servers.len());
        let said = said.replace(&address, &shown);
        self.servers.push((child, address));
        said
    }

    /// Reads a page of docs/, runs what is in it, and compares. With `SEQFIT_DOCS=update`, where MNIST is,
    /// it is written anew instead.
    pub fn follow(&mut self, path: &Path) {
        let page = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let update = std::env::var_os("SEQFIT_DOCS").is_some_and(|word| word == "update");
        assert!(!update || self.mnist.is_some(), "SEQFIT_DOCS=update wants SEQFIT_DATA");
        let recorded = page.lines().find_map(|line| line.strip_prefix(RECORDED));
        let closeness = match &self.mnist {
            None => Closeness::Words,
            Some(_) if recorded == Some(&*machine()) => Closeness::Same,
            Some(_) => Closeness::Near,
        };
        let mut lines: Vec<String> = page.lines().map(ToOwned::to_owned).collect();
        // From the end, so that the numbers of the lines before stay.
        let mut changes: Vec<(usize, usize, Vec<String>)> = Vec::new();
        let (mut wrong, mut figures) = (Vec::new(), Figures::default());
        let mut python = None;
        let mut printed: Option<String> = None;
        for block in blocks(&page) {
            let before = printed.take();
            if let Some(why) = &block.not_run {
                let lines = block.lines.first().map_or("", |line| line);
                println!("{name}:{}: not run: {why} ({lines} …)", block.line);
                not_here(&format!("{name}:{}: {why} ({lines} …)", block.line));
                continue;
            }
            let mut check = |line: usize, expected: &[String], said: &str| {
                let found: Vec<String> = said.lines().map(|l| l.trim_end().to_owned()).collect();
                if update {
                    changes.push((line, expected.len(), updated(expected, &found)));
                } else if !agree(expected, &found, closeness) {
                    let (expected, found) = (expected.join("\n"), found.join("\n"));
                    wrong.push(format!(
                        "{name}:{line} ({closeness:?}) says\n{expected}\nand it is\n{found}"
                    ));
                } else if let Err(two) = figures.add(expected, &found, closeness) {
                    wrong.push(format!("{name}:{line}: {two}"));
                }
            };
            match block.language.as_str() {
                "console" => {
                    for step in steps(&block) {
                        // A page that shows an error means it.
                        let fails = step.expected.iter().any(|line| line.starts_with("error: "));
                        if let Some(said) = self.run(&step.command, fails) {
                            let first = step.line + step.command.lines().count();
                            check(first, &step.expected, &said);
                        }
                    }
                }
                "python" => {
                    let Some(program) = &self.python else {
                        let first = block.lines.first().map_or("", |line| line);
                        not_here(&format!("{name}:{} ({first} …) wants .venv", block.line));
                        continue;
                    };
                    let python = python
                        .get_or_insert_with(|| Python::start(self.command(program), &self.data()));
                    let code = with_servers(&block.lines.join("\n"), &self.servers);
                    printed = Some(python.run(&code, &name, block.line));
                }
                "text" if block.follows => {
                    if let Some(said) = before {
                        check(block.line + 1, &block.lines, &said);
                    }
                }
                "rust" => {
                    let known = in_an_example(&block.lines);
                    assert!(known, "{name}:{}: lines of no program in examples/", block.line);
                }
                "sh" | "bash" | "" => panic!(
                    "{name}:{}: a block is console, python, rust, text or a format of data, or says why it \
                     is not run",
                    block.line
                ),
                _ => {}
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        if update {
            for (line, old, new) in changes.into_iter().rev() {
                lines.splice(line - 1..line - 1 + old, new);
            }
            for line in lines.iter_mut().filter(|line| line.starts_with(RECORDED)) {
                *line = format!("{RECORDED}{}", machine());
            }
            fs::write(path, lines.join("\n") + "\n").unwrap();
            // Pictures that commands of the page have drawn.
            for picture in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let drawn = self.home.path().join(picture);
                if !picture.contains('/') && drawn.is_file() {
                    fs::copy(drawn, path.with_file_name(picture)).unwrap();
                }
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        for (server, _) in &mut self.servers {
            // It may have ended.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A text with the addresses that the servers have in place of those of the page.
fn with_servers(text: &str, servers: &[(Child, String)]) -> String {
    let all = servers.iter().enumerate();
    all.fold(text.to_owned(), |text, (number, (_, address))| {
        text.replace(&format!("127.0.0.1:{}", 8000 + number), address)
    })
}

/// A program of examples/, which `cargo test` has built.
fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_seqfit")).parent().unwrap().join("examples");
    let (program, source) = (folder.join(name), example_source(name));
    let time = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    assert!(
        time(&program) >= time(&source) && program.is_file(),
        "examples/{name} is not built, or older than its source: cargo build --release --examples"
    );
    program
}

fn example_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("rs")
}

/// Whether these lines stand one after the other in a program of examples/, however far they are indented.
pub fn in_an_example(lines: &[String]) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let trimmed: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    super::listing(&folder).iter().any(|name| {
        let source = fs::read_to_string(folder.join(name)).unwrap();
        let source: Vec<&str> = source.lines().map(str::trim).collect();
        source.windows(trimmed.len()).any(|window| window == trimmed)
    })
}

/// An interpreter that keeps its names from block to block.
pub struct Python {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Python {
    /// Starts it; `data` is where MNIST is, or what stands in for it.
    pub fn start(mut command: Command, data: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_pages.py");
        command.arg(script).arg(data).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// What a block prints; `page` and `line` are where it stands, for errors.
    pub fn run(&mut self, code: &str, page: &str, line: usize) -> String {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{}", serde_json::Value::from(code)).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let error = answer["error"].as_str();
        assert!(error.is_none(), "{page}:{line}: {}", error.unwrap_or_default());
        answer["printed"].as_str().unwrap().to_owned()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The built-in digits at MNIST's size: each pixel 3 by 3, in the middle of 28 by 28.
pub fn write_large_digits(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let (train, test) = seqfit::data::load("digits").unwrap();
    for (part, data) in [("train", train), ("t10k", test)] {
        let mut pixels = Vec::with_capacity(data.len() * 784);
        for i in 0..data.len() {
            let small = data.image(i);
            pixels.extend((0..784).map(|at| {
                let (row, column) = (at / 28, at % 28);
                let inside = (2..26).contains(&row) && (2..26).contains(&column);
                if inside { small[(row - 2) / 3 * 8 + (column - 2) / 3] } else { 0 }
            }));
        }
        let labels: Vec<u8> = (0..data.len()).map(|i| data.label(i)).collect();
        let count = data.len() as u32;
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), idx(&[count, 28, 28], &pixels))
            .unwrap();
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), idx(&[count], &labels))
            .unwrap();
    }
}
