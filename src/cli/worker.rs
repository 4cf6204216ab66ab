//! `seqfit worker`: runs the commands that it reads, each in a copy of a process that has loaded libtorch already. The
//! Python package trains with it, since many of its trainings are shorter than the time to load libtorch.
//!
//! A command is a line on standard input, a JSON array of arguments. Its standard output follows, and
//! then a line that is an [`End`].
//!
//! The copy for the next command is made before the command comes: to make one takes some 3 milliseconds, and its first
//! use of each page of memory as long again. A command that succeeds is answered before its copy has ended, for which the
//! system takes another 5 milliseconds.

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
    success: PipeReader,
}

/// A command that this process runs as a copy of the worker.
pub struct Received {
    /// The program's name and the arguments.
    pub arguments: Vec<String>,
    success: PipeWriter,
}

/// What a process is after a copy was made.
enum Role {
    Worker(Waiting),
    /// The copy, with its command; none if the worker has ended.
    Copy(Option<Received>),
}

/// Waits for commands and runs each in a copy of this process. Returns the command in a copy, and `None` in this
/// process, after the last command.
pub fn next_command() -> anyhow::Result<Option<Received>> {
    warm_up()?;
    let mut lines = io::stdin().lock().lines();
    let mut answered = None;
    loop {
        let waiting = match copy()? {
            Role::Worker(waiting) => waiting,
            Role::Copy(received) => return Ok(received),
        };
        answered.take().map(ProcessCopy::wait).transpose()?;
        let Some(line) = lines.next() else { return Ok(None) };
        let (end, process) = waiting.run(&line?)?;
        output::print(&format!("{}\n", serde_json::to_string(&end)?))?;
        answered = process;
    }
}

fn copy() -> anyhow::Result<Role> {
    let (command_reader, command) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    let (success, success_writer) = io::pipe()?;
    if let Some(process) = copy_process()? {
        return Ok(Role::Worker(Waiting { process, command, stderr, success }));
    }
    // So that the command ends when the worker says so, or ends itself.
    drop(command);
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stderr(stderr_writer)?;
    // The pages that this touches are no longer shared, or mapped again, when the command comes.
    warm_up()?;
    let text = io::read_to_string(command_reader)?;
    if text.is_empty() {
        return Ok(Role::Copy(None));
    }
    let arguments: Vec<String> = serde_json::from_str(&text)
        .with_context(|| format!("a command is a JSON array of arguments, found {text:?}"))?;
    let arguments = [vec!["seqfit".to_owned()], arguments].concat();
    Ok(Role::Copy(Some(Received { arguments, success: success_writer })))
}

impl Received {
    /// Reports that the command has succeeded, when its output is written.
    pub fn succeeded(mut self) -> io::Result<()> {
        // The end of standard error, too, which the worker waits for.
        dup2_stderr(File::options().write(true).open("/dev/null")?)?;
        self.success.write_all(b"0")
    }
}

impl Waiting {
    /// Sends the copy its command, and waits for its end; returns the copy, too, if it may still be ending.
    fn run(self, command: &str) -> anyhow::Result<(End, Option<ProcessCopy>)> {
        let Self { process, command: mut pipe, mut stderr, mut success } = self;
        pipe.write_all(command.as_bytes())?;
        // The end of the command.
        drop(pipe);
        let (mut text, mut succeeded) = (Vec::new(), Vec::new());
        stderr.read_to_end(&mut text)?;
        success.read_to_end(&mut succeeded)?;
        let stderr = String::from_utf8_lossy(&text).into_owned();
        Ok(match succeeded.is_empty() {
            true => (End { exit_code: process.wait()?, stderr }, None),
            false => (End { exit_code: 0, stderr }, Some(process)),
        })
    }
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
