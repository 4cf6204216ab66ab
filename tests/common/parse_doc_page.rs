//! Parses a documentation page into its fenced blocks and their commands.
//!
//! | block | how it is tested |
//! | --- | --- |
//! | `console` | bash runs each line after `$ `, and its output is compared with the lines below it |
//! | `python` | executed in one interpreter per page; a `text` block right below is the expected output |
//! | `rust` | must be lines of a program in examples/, which cargo compiles and a `console` block runs |
//! | any other language | not run: a file, a table, a response |
//!
//! `<!-- not run: WHY -->` on the line before a block leaves it out, and the test reports that.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Line number of its first fence, starting at 1.
    pub line: usize,
    pub language: String,
    pub lines: Vec<String>,
    /// The page's reason for not running it, if any.
    pub not_run: Option<String>,
    /// Whether only an empty line separates it from the block before.
    pub follows: bool,
}

/// Returns the blocks of a page.
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

/// A command of a `console` block, with its expected output.
#[derive(Clone, Debug)]
pub struct Step {
    pub line: usize,
    pub command: String,
    pub expected: Vec<String>,
}

/// Returns the commands of a block.
pub fn steps(block: &Block) -> Vec<Step> {
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

/// Returns the path of a program of examples/, which `cargo test` has built.
pub fn example(name: &str) -> PathBuf {
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

/// Returns whether these lines occur consecutively in a program of examples/, at any indentation.
pub fn in_an_example(lines: &[String]) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let trimmed: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    super::listing(&folder).iter().any(|name| {
        let source = fs::read_to_string(folder.join(name)).unwrap();
        let source: Vec<&str> = source.lines().map(str::trim).collect();
        source.windows(trimmed.len()).any(|window| window == trimmed)
    })
}
