//! A running `seqfit serve` and a raw HTTP client that can send malformed requests.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::seqfit;

/// A server process that is killed on drop.
pub struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Serves `home`/run on a free local port.
    pub fn start(home: &Path, options: &[&str]) -> Self {
        let mut command = seqfit(home);
        command.args(["serve", "run", "--port", "0"]).args(options);
        Self::begin(&mut command, &home.join("serve.err"))
            .unwrap_or_else(|stderr| panic!("{stderr}"))
    }

    /// Starts a server with this command, redirecting its stderr to a file.
    ///
    /// # Errors
    /// The contents of its stderr, if it exits without printing an address.
    pub fn begin(command: &mut Command, errors: &Path) -> Result<Self, String> {
        let stderr = fs::File::create(errors).expect("a file");
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().expect("it starts");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("its stdout");
        BufReader::new(stdout).read_line(&mut url).expect("its address");
        let server = Self { child, url: url.trim().to_owned() };
        match url.starts_with("http://") {
            true => Ok(server),
            false => Err(fs::read_to_string(errors).expect("its stderr")),
        }
    }

    /// `http://127.0.0.1:12345/`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens a new connection.
    pub fn connect(&self) -> TcpStream {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    }

    /// Sends bytes and reads until the response or the connection ends.
    pub fn raw(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        // The server may have responded and hung up before reading everything.
        let _ = stream.write_all(request);
        answer(&mut stream)
    }

    /// Sends a well-formed request.
    pub fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.raw(&request(method, path, kind, body)).expect("an answer")
    }

    /// Returns the bytes of memory that the process uses now.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a process of Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
        assert!(sent.success());
    }

    /// Waits for the process to exit.
    pub fn wait(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns the name of the violated rule.
    pub fn rule(&self) -> String {
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        self.json()["error"]["rule"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

/// A request that closes the connection.
pub fn request(method: &str, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Reads one response; returns `None` if the connection closed first.
pub fn answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let status = head.split(' ').nth(1)?.parse().ok()?;
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(Some(0), |length| length.parse().ok())?;
            let begin = end + 4;
            if bytes.len() >= begin + length {
                return Some(Answer { status, head, body: bytes[begin..begin + length].to_vec() });
            }
        }
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    }
}
