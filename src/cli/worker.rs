//! `seqfit worker`: runs the commands that it reads, each in a copy of a process that has loaded libtorch already. The
//! Python package trains with it, since many of its trainings are shorter than the time to load libtorch.
//!
//! A command is a line on standard input, a JSON array of arguments. Its standard output follows, and
//! then a line that is an [`End`].
//!
//! The copy for the next command is made before the command comes: to make one takes some 3 milliseconds, and its first
//! use of each page of memory as long again.

use std::fs::File;
use std::io::{self, BufRead, PipeReader, PipeWriter, Read, Write};

use anyhow::Context;
use rustix::stdio::{dup2_stderr, dup2_stdin};
use seqfit::data::{Dataset, Features, Targets};
use seqfit::export::{self, Card, Format, Options};
use seqfit::layers::Dense;
use seqfit::libtorch::{self, Driver, ProcessCopy, copy_process};
use seqfit::{Device, FitConfig, Sequential, device, tch};
use serde::Serialize;

use super::output;

/// The end of a command.
#[derive(Serialize)]
struct End {
    /// The exit code, or the negative number of the signal that ended it.
    exit_code: i32,
    stderr: String,
}

/// A copy of this process that waits for its command, and the pipes to it.
struct Waiting {
    process: ProcessCopy,
    command: PipeWriter,
    stderr: PipeReader,
}

/// Waits for commands and runs each in a copy of this process. Returns the program's name and the arguments in a
/// copy, and `None` in this process, after the last command.
pub fn next_command() -> anyhow::Result<Option<Vec<String>>> {
    warm_up()?;
    let mut lines = io::stdin().lock().lines();
    loop {
        let (command_reader, command) = io::pipe()?;
        let (stderr, stderr_writer) = io::pipe()?;
        let Some(process) = copy_process()? else {
            drop((command, stderr));
            return in_copy(command_reader, stderr_writer);
        };
        drop((command_reader, stderr_writer));
        let waiting = Waiting { process, command, stderr };
        let Some(line) = lines.next() else { return Ok(None) };
        output::print(&format!("{}\n", serde_json::to_string(&waiting.run(&line?)?)?))?;
    }
}

impl Waiting {
    /// Sends the copy its command, and waits for its end.
    fn run(self, command: &str) -> anyhow::Result<End> {
        let Self { process, command: mut pipe, mut stderr } = self;
        pipe.write_all(command.as_bytes())?;
        // The end of the command.
        drop(pipe);
        let mut text = Vec::new();
        stderr.read_to_end(&mut text)?;
        Ok(End { exit_code: process.wait()?, stderr: String::from_utf8_lossy(&text).into_owned() })
    }
}

/// Returns the command that is sent to this copy; none if the process that it is a copy of has ended.
fn in_copy(mut command: PipeReader, stderr: PipeWriter) -> anyhow::Result<Option<Vec<String>>> {
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stderr(stderr)?;
    // The pages that this touches are no longer shared, or mapped again, when the command comes.
    warm_up()?;
    let mut text = String::new();
    command.read_to_string(&mut text)?;
    if text.is_empty() {
        return Ok(None);
    }
    let arguments: Vec<String> = serde_json::from_str(&text)
        .with_context(|| format!("a command is a JSON array of arguments, found {text:?}"))?;
    Ok(Some([vec!["seqfit".to_owned()], arguments].concat()))
}

/// Does once what most commands do, so that what libtorch and others initialize at their first use is ready. No other
/// thread is started: a process that has some cannot be copied.
fn warm_up() -> anyhow::Result<()> {
    const SAMPLES: usize = 32;
    const INPUTS: usize = 80;
    let threads = usize::try_from(tch::get_num_threads()).unwrap_or(1);
    device::set_threads(1);
    let mut model =
        Sequential::new([INPUTS]).add(Dense::new(80)).add(Dense::new(2)).build(Device::Cpu, 0)?;
    // After a training on the CPU, a command could not use a GPU.
    if !matches!(libtorch::query_driver(), Driver::Present { .. }) {
        let features = Features::floats(vec![1.0; SAMPLES * INPUTS], [INPUTS]);
        let targets = Targets::classes(vec![0; SAMPLES], ["a", "b"]);
        let data = Dataset::from_arrays(features, targets)?;
        let config = FitConfig { epochs: 1, threads: Some(1), ..FitConfig::default() };
        model.fit(&data, &config, &mut [])?;
        model.evaluate(&data)?;
    }
    let card = Card::new(model.spec(), &["a", "b"]);
    export::encode(&model, Format::TorchScript, &card, Options::default())?;
    device::set_threads(threads);
    Ok(())
}
