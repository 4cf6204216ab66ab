//! A small HTTP server for tests that decides its response request by request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A client's request.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// The first byte of a `Range: bytes=N-`.
    pub from: Option<usize>,
    /// The value of `Proxy-Authorization`.
    pub authorization: Option<String>,
}

/// A response.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200 with the whole body; the requested range is ignored.
    Whole(Vec<u8>),
    /// 206 with the requested range, or 200 with the whole body.
    Ranged(Vec<u8>),
    /// Like `Ranged`, but the connection closes after this number of body bytes.
    Cut(Vec<u8>, usize),
    /// Like `Cut`, but the connection stays open until the client closes it.
    Stalled(Vec<u8>, usize),
    /// 206 with these bytes and a `Content-Range` that begins at this offset.
    Partial(usize, Vec<u8>),
    /// 200 without a length; the connection closes at the end of the body.
    Unannounced(Vec<u8>),
    /// A redirect to this address.
    Redirect(String),
    /// A bare status.
    Status(u16),
}

/// Runs until the test process ends.
pub struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Serves each request with the result of `answer`, whose second argument counts requests from 0.
    pub fn start(answer: impl Fn(&Asked, usize) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                let Some(request) = read_request(&stream) else {
                    continue;
                };
                let count = {
                    let mut log = log.lock().expect("the log");
                    log.push(request.clone());
                    log.len() - 1
                };
                // A client may hang up early.
                let _ = respond(stream, &request, answer(&request, count));
            }
        });
        Self { address, asked }
    }

    /// Serves these files by path, with resumable downloads, and 404 for any other path.
    pub fn files(files: Vec<(String, Vec<u8>)>) -> Self {
        Self::start(move |asked, _| match files.iter().find(|(path, _)| *path == asked.path) {
            Some((_, body)) => Answer::Ranged(body.clone()),
            None => Answer::Status(404),
        })
    }

    /// `http://127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns all requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("the log").clone()
    }
}

/// Accepts one client of a SOCKS5 proxy (RFC 1928, host names are resolved by the proxy), refuses the
/// connection, and returns the requested host and port. The address is the proxy's.
pub fn socks5() -> (String, thread::JoinHandle<std::io::Result<(String, u16)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let greeting = bytes(&mut stream, 2)?;
        bytes(&mut stream, greeting[1].into())?;
        stream.write_all(&[5, 0])?;
        let request = bytes(&mut stream, 5)?;
        let host = String::from_utf8_lossy(&bytes(&mut stream, request[4].into())?).into_owned();
        let port = bytes(&mut stream, 2)?;
        // "Connection refused".
        stream.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0])?;
        Ok((host, u16::from_be_bytes([port[0], port[1]])))
    });
    (address, served)
}

/// Returns the address of a port that nothing listens on.
pub fn closed() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}

fn bytes(stream: &mut TcpStream, n: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; n];
    stream.read_exact(&mut bytes).map(|()| bytes)
}

fn read_request(stream: &TcpStream) -> Option<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let (mut from, mut authorization) = (None, None);
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => from = value.strip_prefix("bytes=")?.trim_end_matches('-').parse().ok(),
            "proxy-authorization" => authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(Asked { path, from, authorization })
}

fn respond(mut stream: TcpStream, asked: &Asked, answer: Answer) -> std::io::Result<()> {
    let head = |status: &str, more: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
    };
    let ranged = |body: &[u8]| match asked.from {
        Some(from) if from < body.len() => {
            let range =
                format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len());
            (head("206 Partial Content", &range, body.len() - from), body[from..].to_vec())
        }
        Some(_) => (head("416 Range Not Satisfiable", "", 0), Vec::new()),
        None => (head("200 OK", "", body.len()), body.to_vec()),
    };
    let stalls = matches!(answer, Answer::Stalled(..));
    let (head, body) = match answer {
        Answer::Whole(body) => (head("200 OK", "", body.len()), body),
        Answer::Ranged(body) => ranged(&body),
        Answer::Cut(body, after) | Answer::Stalled(body, after) => {
            let (head, mut rest) = ranged(&body);
            rest.truncate(after);
            (head, rest)
        }
        Answer::Partial(first, body) => {
            let last = first + body.len() - 1;
            let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", last + 1);
            (head("206 Partial Content", &range, body.len()), body)
        }
        Answer::Unannounced(body) => {
            ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(), body)
        }
        Answer::Redirect(to) => (head("302 Found", &format!("Location: {to}\r\n"), 0), Vec::new()),
        Answer::Status(status) => (head(&format!("{status} No"), "", 0), Vec::new()),
    };
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)?;
    if stalls {
        stream.read_to_end(&mut Vec::new())?;
    }
    stream.flush()
}
