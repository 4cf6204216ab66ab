//! Runs Python scripts in copies of one process, and Python block by block.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use super::CommandOutput;
use serde_json::{Value, json};

/// What tests/fixtures/python_server.py imports: 10 seconds of computing, once per test binary instead of per script.
const IMPORTED: [&str; 7] =
    ["torch", "torch.export", "keras", "h5py", "onnx", "onnxruntime", "safetensors.torch"];

/// Runs `python SCRIPT ARGUMENTS`; `script` is relative to the repository. The Python in .venv runs it in a copy of a
/// process that has imported PyTorch, Keras and onnxruntime, on one thread; any other is started.
pub fn run_script(
    python: &Path,
    script: &str,
    arguments: impl IntoIterator<Item: AsRef<Path>>,
    input: &str,
) -> CommandOutput {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let arguments = arguments.into_iter();
    let arguments: Vec<String> =
        arguments.map(|argument| argument.as_ref().to_str().unwrap().to_owned()).collect();
    if python.starts_with(env!("CARGO_MANIFEST_DIR")) && python.ends_with(".venv/bin/python") {
        return server(python).run(&script, &arguments, input);
    }
    let mut command = Command::new(python);
    command.arg(script).args(arguments).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    super::output_of(child.wait_with_output().unwrap())
}

/// A process of tests/fixtures/python_server.py, which ends with this one.
struct Server {
    port: u16,
    /// Its standard input stays open as long as this process.
    _child: Child,
}

fn server(python: &Path) -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.arg(root.join("tests/fixtures/python_server.py")).args(IMPORTED);
        // With more threads, several processes on a few processors wait for each other.
        command.env("KERAS_BACKEND", "torch").env("OMP_NUM_THREADS", "1");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse().expect("the port of tests/fixtures/python_server.py");
        Server { port, _child: child }
    })
}

impl Server {
    fn run(&self, script: &Path, arguments: &[String], input: &str) -> CommandOutput {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let task = json!({ "script": script, "arguments": arguments, "input": input });
        writeln!(stream, "{task}").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let reply: Value = serde_json::from_str(&reply).expect("a reply of the Python server");
        let text = |name: &str| reply[name].as_str().unwrap().to_owned();
        let code = reply["code"].as_i64().unwrap() as i32;
        CommandOutput { code, stdout: text("stdout"), stderr: text("stderr") }
    }
}

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
