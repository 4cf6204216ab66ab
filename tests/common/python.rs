//! Runs Python block by block.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// An interpreter that keeps its names from block to block.
pub struct Python {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Python {
    /// Starts the interpreter; `data` is the folder of MNIST or of its stand-in.
    pub fn start(mut command: Command, data: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run_pages.py");
        command.arg(script).arg(data).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    /// Runs a block and returns its output; `page` and `line` are its position, for error messages.
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
