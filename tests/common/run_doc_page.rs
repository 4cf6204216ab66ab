//! A simulated reader of the documentation, who runs a page's commands and compares their output with the page.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::compare_doc_output::{Closeness, Metrics, agree, updated};
use super::parse_doc_page::{blocks, example, in_an_example, steps};
use super::python::Python;
use super::{idx, not_here};

/// Returns the description of this machine as written in the pages.
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

/// Prefix of the line that names the machine on which a page's outputs were recorded.
const RECORDED: &str = "Recorded on: ";

/// A reader with an empty working folder.
pub struct Reader {
    home: tempfile::TempDir,
    python: PathBuf,
    /// The real MNIST.
    mnist: Option<PathBuf>,
    servers: Vec<(Child, String)>,
}

impl Reader {
    /// Creates a reader in a new folder. Without MNIST, `seqfit train` and `seqfit lr-find` get the built-in
    /// digits, enlarged to MNIST's size, in a folder called mnist.
    pub fn new(mnist: Option<PathBuf>, python: PathBuf) -> Self {
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
        // The Python package of this checkout.
        command.env("SEQFIT_PROGRAM", env!("CARGO_BIN_EXE_seqfit"));
        command.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        if let Some(data) = self.mnist.as_deref().and_then(Path::parent) {
            command.env("SEQFIT_DATA", data);
        }
        command
    }

    /// Returns a command's stderr and stdout, interleaved. The command must succeed, or fail if `fails`.
    fn run(&mut self, command: &str, fails: bool) -> String {
        let mut command = command.trim_end().to_owned();
        if let Some(rest) = command.strip_prefix("cargo run --release --example ") {
            let (name, arguments) = rest.split_once(" -- ").unwrap_or((rest, ""));
            command = format!("'{}' {arguments}", example(name).display());
        }
        command = with_servers(&command, &self.servers);
        if let Some(server) = command.strip_suffix(" &") {
            return self.serve(server);
        }
        if command.starts_with(".venv/bin/python") {
            let python = self.python.display().to_string();
            command = command.replacen(".venv/bin/python", &python, 1);
        }
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut bash = self.command(Path::new("bash"));
        bash.args(["-c", &command]).stdin(Stdio::null());
        let mut child = bash.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        drop(bash);
        let mut output = String::new();
        reader.read_to_string(&mut output).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.success(), !fails, "$ {command}\n{output}{status}");
        output
    }

    /// Starts `seqfit serve` on a free port; the page shows port 8000.
    fn serve(&mut self, command: &str) -> String {
        let (reader, writer) = std::io::pipe().unwrap();
        let mut bash = self.command(Path::new("bash"));
        bash.args(["-c", &format!("exec {command} --port 0")]).stdin(Stdio::null());
        let child = bash.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        drop(bash);
        let mut output = String::new();
        let mut lines = BufReader::new(reader);
        let address = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "$ {command}\n{output}");
            let address =
                line.trim().strip_prefix("http://").map(|a| a.trim_end_matches('/').to_owned());
            output += &line;
            if let Some(address) = address {
                break address;
            }
        };
        let shown = format!("127.0.0.1:{}", 8000 + self.servers.len());
        let output = output.replace(&address, &shown);
        self.servers.push((child, address));
        output
    }

    /// Runs the code of a page of docs/ and compares the output with the page. With `SEQFIT_DOCS=update` the
    /// page is updated instead.
    pub fn follow(&mut self, path: &Path) {
        let page = fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let update = std::env::var_os("SEQFIT_DOCS").is_some_and(|word| word == "update");
        let recorded = page.lines().find_map(|line| line.strip_prefix(RECORDED));
        let closeness = match recorded == Some(&*machine()) {
            true => Closeness::Same,
            false => Closeness::Near,
        };
        let mut lines: Vec<String> = page.lines().map(ToOwned::to_owned).collect();
        // Applied from the end, so that the numbers of earlier lines stay valid.
        let mut changes: Vec<(usize, usize, Vec<String>)> = Vec::new();
        let (mut wrong, mut metrics) = (Vec::new(), Metrics::default());
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
            let mut check = |line: usize, expected: &[String], output: &str| {
                let found: Vec<String> = output.lines().map(|l| l.trim_end().to_owned()).collect();
                if update {
                    changes.push((line, expected.len(), updated(expected, &found)));
                } else if !agree(expected, &found, closeness) {
                    let (expected, found) = (expected.join("\n"), found.join("\n"));
                    wrong.push(format!(
                        "{name}:{line} ({closeness:?}) says\n{expected}\nand it is\n{found}"
                    ));
                } else if let Err(two) = metrics.add(expected, &found, closeness) {
                    wrong.push(format!("{name}:{line}: {two}"));
                }
            };
            match block.language.as_str() {
                "console" => {
                    for step in steps(&block) {
                        // If the page shows an error, the command must fail.
                        let fails = step.expected.iter().any(|line| line.starts_with("error: "));
                        let output = self.run(&step.command, fails);
                        check(step.line + step.command.lines().count(), &step.expected, &output);
                    }
                }
                "python" => {
                    let python = python.get_or_insert_with(|| {
                        Python::start(self.command(&self.python), &self.data())
                    });
                    let code = with_servers(&block.lines.join("\n"), &self.servers);
                    printed = Some(python.run(&code, &name, block.line));
                }
                "text" if block.follows => {
                    if let Some(output) = before {
                        check(block.line + 1, &block.lines, &output);
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
            // Pictures that the page's commands have drawn.
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
            // It may have exited already.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// Replaces the page's server addresses in a text with the actual ones.
fn with_servers(text: &str, servers: &[(Child, String)]) -> String {
    let all = servers.iter().enumerate();
    all.fold(text.to_owned(), |text, (number, (_, address))| {
        text.replace(&format!("127.0.0.1:{}", 8000 + number), address)
    })
}

/// Writes the built-in digits at MNIST's size: each pixel becomes 3 by 3, centered in 28 by 28.
pub fn write_large_digits(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("dataset.toml"), "preparation = \"digit\"\n").unwrap();
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
