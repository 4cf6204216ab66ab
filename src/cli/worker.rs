//! `seqfit worker`: runs the commands that it reads, each in a copy of a process that has loaded libtorch already. The
//! Python package trains with it, since many of its trainings are shorter than the time to load libtorch.
//!
//! A command is a line on standard input, a JSON array of arguments. Its standard output follows, and
//! then a line that is an [`End`].

use std::fs::File;
use std::io::{self, BufRead, Read};

use anyhow::Context;
use rustix::stdio::{dup2_stderr, dup2_stdin};
use seqfit::export::{self, Card, Format, Options};
use seqfit::layers::Dense;
use seqfit::libtorch::copy_process;
use seqfit::{Device, Sequential};
use serde::Serialize;

use super::output;

/// The end of a command.
#[derive(Serialize)]
struct End {
    /// The exit code, or the negative number of the signal that ended it.
    exit_code: i32,
    stderr: String,
}

/// Waits for commands and starts a copy of this process for each. Returns the program's name and the arguments in a
/// copy, and `None` in this process, after the last command.
pub fn next_command() -> anyhow::Result<Option<Vec<String>>> {
    warm_up()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let arguments: Vec<String> = serde_json::from_str(&line)
            .with_context(|| format!("a command is a JSON array of arguments, found {line:?}"))?;
        let (mut reader, writer) = io::pipe()?;
        let Some(copy) = copy_process()? else {
            dup2_stdin(File::open("/dev/null")?)?;
            dup2_stderr(writer)?;
            return Ok(Some([vec!["seqfit".to_owned()], arguments].concat()));
        };
        drop(writer);
        let mut stderr = Vec::new();
        reader.read_to_end(&mut stderr)?;
        let end =
            End { exit_code: copy.wait()?, stderr: String::from_utf8_lossy(&stderr).into_owned() };
        output::print(&format!("{}\n", serde_json::to_string(&end)?))?;
    }
    Ok(None)
}

/// Makes libtorch initialize what each command would wait for: to build a network, and to write it as TorchScript.
fn warm_up() -> anyhow::Result<()> {
    let model = Sequential::new([1]).add(Dense::new(1)).build(Device::Cpu, 0)?;
    let card = Card::new(model.spec(), &["number"]);
    export::encode(&model, Format::TorchScript, &card, Options::default())?;
    Ok(())
}
