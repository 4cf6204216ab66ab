//! Tests that `seqfit serve` gives the predictions of `seqfit predict` over HTTP, no matter what else is
//! sent to it at the same time, and shuts down cleanly.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::preparation_pictures::{evaluated, fashion_mnist, save_images, write_marks};
use crate::common::seqfit_serve::{Answer, Server, answer, request};
use crate::common::{self, seqfit, succeed};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{GrayImage, ImageFormat, Luma, imageops};
use seqfit::data::{self, FeatureKind, Preparation};
use seqfit::layers::{Dense, Flatten};
use seqfit::serve::{Card, Limits, ServeConfig, ServeError};
use seqfit::{Device, Sequential};
use serde_json::{Value, json};

const JSON: &str = "application/json";

fn trained() -> tempfile::TempDir {
    static TRAINED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let train = ["train", "-q", "--dataset", "digits", "--epochs", "20", "--out", "run"];
    common::copy_of(&TRAINED, |home| {
        succeed(seqfit(home).args(train));
    })
}

fn file(picture: &GrayImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// Returns a built-in test digit on a sheet of paper, and its pixels.
fn digit(i: usize) -> (GrayImage, Vec<u8>) {
    let (_, test) = data::load("digits").unwrap();
    let pixels = test.image(i).to_vec();
    let small = GrayImage::from_raw(8, 8, pixels.clone()).unwrap();
    let large = imageops::resize(&small, 80, 80, imageops::FilterType::CatmullRom);
    let sheet = GrayImage::from_fn(140, 120, |x, y| {
        let ink = large.get_pixel_checked(x.wrapping_sub(20), y.wrapping_sub(20));
        Luma([230 - (0.8 * f64::from(ink.map_or(0, |pixel| pixel.0[0]))) as u8])
    });
    (sheet, pixels)
}

fn rows(pixels: &[u8]) -> Vec<&[u8]> {
    pixels.chunks(8).collect()
}

/// Checks that the server responds to a valid request.
fn check_well(server: &Server) {
    let body = json!({ "pixels": rows(&digit(0).1) }).to_string();
    let answer = server.ask("POST", "/predict", JSON, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn serve_predictions_match_predict_for_every_input_form() {
    let home = trained();
    let server = Server::start(home.path(), &[]);
    let mut bases = Vec::new();
    for i in 0..5 {
        let (sheet, pixels) = digit(i);
        for (format, kind, name) in
            [(ImageFormat::Png, "image/png", "a.png"), (ImageFormat::Jpeg, "image/jpeg", "a.jpg")]
        {
            let bytes = file(&sheet, format);
            fs::write(home.path().join(name), &bytes).unwrap();
            let output = succeed(seqfit(home.path()).args(["predict", "run", "--json", name]));
            let predicted: Value = serde_json::from_str(&output.stdout).unwrap();
            let direct = server.ask("POST", "/predict?prepared=1", kind, &bytes).json();
            let base = json!({ "image": STANDARD.encode(&bytes) }).to_string();
            let packed = server.ask("POST", "/predict?prepared=1", JSON, base.as_bytes()).json();
            assert_eq!(direct, packed);
            assert_eq!(direct["label"], predicted["class"]);
            let class = direct["class"].as_u64().unwrap() as usize;
            let probability = direct["probabilities"][class].as_f64().unwrap();
            assert!((probability - predicted["probability"].as_f64().unwrap()).abs() < 1e-6);
            let prepared = direct["prepared"].as_array().unwrap();
            assert!(
                prepared.len() == 8 && prepared.iter().all(|r| r.as_array().unwrap().len() == 8)
            );
            // The prepared image is the network's input.
            let again = json!({ "pixels": prepared }).to_string();
            let again = server.ask("POST", "/predict", JSON, again.as_bytes()).json();
            assert_eq!(again["class"], direct["class"]);
            bases.push(STANDARD.encode(&bytes));
        }
        // With raw=1, a PNG of the network's size gives its own pixels.
        let own = file(&GrayImage::from_raw(8, 8, pixels.clone()).unwrap(), ImageFormat::Png);
        let raw = server.ask("POST", "/predict?raw=1&prepared=1", "image/png", &own).json();
        assert_eq!(raw["prepared"], json!(rows(&pixels)));
    }
    // A list gets the predictions for its images in order.
    let many = json!({ "images": bases }).to_string();
    let many = server.ask("POST", "/predict", JSON, many.as_bytes()).json();
    let many = many["predictions"].as_array().unwrap();
    assert_eq!(many.len(), bases.len());
    for (base, many) in bases.iter().zip(many) {
        let one = json!({ "image": base }).to_string();
        let one = server.ask("POST", "/predict", JSON, one.as_bytes()).json();
        assert_eq!((&one["class"], many.get("prepared")), (&many["class"], None));
    }
    let list: Vec<_> = (0..256).map(|i| digit(i % 5).1).collect();
    let list: Vec<_> = list.iter().map(|pixels| rows(pixels)).collect();
    let list = json!({ "pixels": list }).to_string();
    let answers = server.ask("POST", "/predict", JSON, list.as_bytes()).json();
    assert_eq!(answers["predictions"].as_array().unwrap().len(), 256);
}

#[test]
fn serve_reports_errors_in_json() {
    let home = trained();
    let server = Server::start(home.path(), &[]);
    let png = file(&digit(0).0, ImageFormat::Png);
    let blank = file(&GrayImage::from_pixel(40, 40, Luma([9])), ImageFormat::Png);
    let large = json!({ "pixels": vec![vec![0; 28]; 28] }).to_string();
    let two = json!({ "images": [STANDARD.encode(&png), "AAAA"] }).to_string();
    /// Method, path, content type, body; status, rule.
    type Case<'a> = (&'a str, &'a str, &'a str, &'a [u8], u16, &'a str);
    let cases: &[Case] = &[
        ("GET", "/nowhere", "", b"", 404, "path"),
        ("POST", "/predict/", JSON, b"{}", 404, "path"),
        ("GET", "/predict", "", b"", 405, "method"),
        ("DELETE", "/health", "", b"", 405, "method"),
        ("POST", "/", "", b"", 405, "method"),
        ("OPTIONS", "/predict", "", b"", 405, "method"),
        ("POST", "/predict?prepared=yes", JSON, b"{}", 400, "query"),
        ("POST", "/predict?top=3", JSON, b"{}", 400, "query"),
        ("POST", "/predict", "text/plain", b"x", 415, "content-type"),
        ("POST", "/predict", "image/webp", b"x", 415, "content-type"),
        ("POST", "/predict", JSON, b"", 400, "json"),
        ("POST", "/predict", JSON, b"{\"pixels\": [[", 400, "json"),
        ("POST", "/predict", JSON, b"\xff\xfe", 400, "json"),
        ("POST", "/predict", JSON, large.as_bytes(), 400, "pixels"),
        ("POST", "/predict", JSON, two.as_bytes(), 400, "picture"),
        ("POST", "/predict", JSON, b"{\"image\": \"*\"}", 400, "base64"),
        ("POST", "/predict", JSON, b"{\"images\": []}", 400, "batch"),
        ("POST", "/predict", "image/png", b"", 400, "picture"),
        ("POST", "/predict", "image/png", &png[..60], 400, "picture"),
        ("POST", "/predict", "image/jpeg", b"GIF89a", 400, "picture"),
        ("POST", "/predict", "image/png", &blank, 400, "blank"),
        ("POST", "/predict?raw=1", "image/png", &png, 400, "picture"),
    ];
    for &(method, path, kind, body, status, rule) in cases {
        let answer = server.ask(method, path, kind, body);
        assert_eq!((answer.status, answer.rule().as_str()), (status, rule), "{method} {path}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("found"), "{message}");
    }
    let at = server.ask("POST", "/predict", JSON, two.as_bytes());
    assert_eq!(at.json()["error"]["index"], 1);
    let allowed = server.ask("PUT", "/predict", "", b"");
    assert!(allowed.head.contains("allow: post"), "{allowed:?}");
    let head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n";
    let too_long = server.raw(format!("{head}Content-Length: 99999999\r\n\r\n").as_bytes());
    assert_eq!(too_long.map(|answer| (answer.status, answer.rule())), Some((413, "body".into())));
    let cut = format!("{head}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    let cut = server.raw(cut.as_bytes()).expect("an answer");
    assert_eq!((cut.status, cut.rule().as_str()), (400, "body"));
    // Bytes that are not HTTP get no response from seqfit, and do no harm.
    assert!(server.raw(b"hello\r\n\r\n").is_none_or(|answer| answer.status == 400));
    let page = server.ask("GET", "/", "", b"");
    assert!(
        page.status == 200 && page.head.contains("content-security-policy: default-src 'none'")
    );
    check_well(&server);
}

/// Returns a PNG header that claims millions of pixels.
fn bomb() -> Vec<u8> {
    let mut png = file(&GrayImage::from_pixel(1, 1, Luma([0])), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0x3f, 0xff, 0, 0, 0x3f, 0xff]);
    let sum = png[12..29].iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(sum & 1))
        })
    });
    png[29..33].copy_from_slice(&(!sum).to_be_bytes());
    png
}

/// Returns the `i`-th malformed request.
fn hostile(i: usize, png: &[u8]) -> Vec<u8> {
    let noise: Vec<u8> =
        (0..500u32).map(|k| (k.wrapping_mul(2_654_435_761) >> (i % 24)) as u8).collect();
    match i % 12 {
        0 => noise,
        1 => request("POST", "/predict", "image/png", &noise),
        2 => request("POST", "/predict", "image/png", &png[..png.len() * (i % 100) / 100]),
        3 => request("POST", "/predict", "image/png", &bomb()),
        4 => request("POST", "/predict", JSON, "[".repeat(20_000 + i % 7).as_bytes()),
        5 => request("POST", "/predict", JSON, "{\"pixels\":[".repeat(1000).as_bytes()),
        6 => request("POST", "/predict", JSON, format!("{{\"pixels\":[{}", "[],".repeat(300_000)).as_bytes()),
        7 => request("POST", &format!("/{}", "x".repeat(30_000)), "", b""),
        8 => {
            let mut flipped = png.to_vec();
            flipped[i % png.len()] ^= 1 << (i % 8);
            request("POST", "/predict", "image/jpeg", &flipped)
        }
        9 => b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 18446744073709551615\r\n\r\nabc".to_vec(),
        10 => {
            // Longer than allowed, without a declared length.
            let head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunk = format!("100000\r\n{}\r\n", "y".repeat(1 << 20));
            [head, &chunk.repeat(if i.is_multiple_of(50) { 5 } else { 0 }), "0\r\n\r\n"].concat().into_bytes()
        }
        _ => request("POST", "/predict", JSON, format!("{{\"images\":[{}\"\"]}}", "\"\",".repeat(50_000)).as_bytes()),
    }
}

#[test]
fn serve_survives_malformed_slow_and_cut_requests_with_constant_memory() {
    let malformed = common::all_or_few("malformed requests", 10_000, 1_200);
    let slow = common::all_or_few("slow requests", 1_000, 200);
    let home = trained();
    let server = Server::start(home.path(), &[]);
    let png = file(&digit(0).0, ImageFormat::Png);
    let send = |range: std::ops::Range<usize>| {
        const CLIENTS: usize = 8;
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (server, png, range) = (&server, &png, range.clone());
                scope.spawn(move || {
                    for i in range.skip(client).step_by(CLIENTS) {
                        if let Some(answer) = server.raw(&hostile(i, png)) {
                            assert!(
                                (400..500).contains(&answer.status)
                                    || answer.status == 200 && i % 12 == 8,
                                "{i}: {answer:?}"
                            );
                        }
                    }
                });
            }
        });
    };
    // After a third of the requests, libraries have done their one-time allocations.
    let first = malformed / 3;
    send(0..first);
    check_well(&server);
    let before = server.memory();
    send(first..malformed);
    check_well(&server);
    let grown = server.memory().saturating_sub(before);
    // The allocator's measured fluctuation is a few MB. A leak of 2 KB per request would be more.
    assert!(grown < 16 << 20, "{grown} bytes more after {malformed} requests");

    let begin = |i: usize| {
        let mut stream = server.connect();
        let part: &[u8] = match i % 4 {
            0 => b"",
            1 => b"POST /predict HTTP/1.1\r\nHost:",
            2 => b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n\x89PNG",
            // Disconnected: the response to this request is never read.
            _ => b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        };
        let _ = stream.write_all(part);
        (i % 4 != 3).then_some(stream)
    };
    let open: Vec<_> = (0..slow).filter_map(begin).collect();
    assert_eq!(open.len(), slow / 4 * 3);
    // All are connected, and other requests are served at once.
    check_well(&server);
    let metrics = server.ask("GET", "/metrics", "", b"");
    let metrics = String::from_utf8(metrics.body).unwrap();
    let connections = metrics.lines().find_map(|line| line.strip_prefix("seqfit_connections "));
    assert!(connections.unwrap().parse::<usize>().unwrap() > slow / 2, "{connections:?}");
    // Each gets status 408 or is disconnected.
    for mut stream in open {
        if let Some(answer) = answer(&mut stream) {
            assert_eq!(answer.status, 408, "{answer:?}");
        }
    }
    check_well(&server);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes more after {slow} slow connections");
}

/// Returns the class that a server predicts for each picture. Each is sent as a body and in a JSON list, and
/// both must agree.
fn served(server: &Server, pictures: &[String]) -> Vec<usize> {
    let class = |value: &Value| value["class"].as_u64().unwrap() as usize;
    let bodies: Vec<Vec<u8>> = pictures.iter().map(|path| fs::read(path).unwrap()).collect();
    let alone: Vec<usize> = bodies
        .iter()
        .map(|body| class(&server.ask("POST", "/predict", "image/png", body).json()))
        .collect();
    let listed = bodies.chunks(100).flat_map(|bodies| {
        let images: Vec<String> = bodies.iter().map(|body| STANDARD.encode(body)).collect();
        let body = json!({ "images": images }).to_string();
        let answer = server.ask("POST", "/predict", JSON, body.as_bytes()).json();
        answer["predictions"].as_array().unwrap().iter().map(class).collect::<Vec<_>>()
    });
    assert_eq!(alone, listed.collect::<Vec<_>>());
    alone
}

#[test]
fn serve_prepares_pictures_like_the_data_of_the_run() {
    for (kind, size) in [("raw", [28, 28]), ("resize", [70, 42])] {
        let home = tempfile::tempdir().unwrap();
        let tests = write_marks(&home.path().join("marks"), size);
        let pack = ["data", "pack", "marks", "--out", "packed", "--prepare", kind];
        succeed(seqfit(home.path()).args(pack));
        let train = ["train", "-q", "--epochs", "15", "--out", "run", "--data-dir", "packed"];
        succeed(seqfit(home.path()).args(train));
        let server = Server::start(home.path(), &[]);
        assert_eq!(served(&server, &tests), evaluated(home.path()), "{kind}");
        let health = server.ask("GET", "/health", "", b"").json();
        assert_eq!(health["model"]["preparation"], kind);
        let page = String::from_utf8(server.ask("GET", "/", "", b"").body).unwrap();
        assert!(page.contains(&format!("\"preparation\":\"{kind}\"")));
        let openapi = server.ask("GET", "/openapi.json", "", b"").json();
        let parameters = &openapi["paths"]["/predict"]["post"]["parameters"];
        assert_eq!(parameters[1]["schema"]["default"], kind, "{parameters}");
        let stderr = fs::read_to_string(home.path().join("serve.err")).unwrap();
        assert!(
            stderr.starts_with("note: pictures are ") && stderr.contains("as the run's data were")
        );
    }
}

#[test]
fn serve_preparation_can_be_overridden() {
    let home = trained();
    let server = Server::start(home.path(), &["--prepare", "raw"]);
    let health = server.ask("GET", "/health", "", b"").json();
    assert_eq!(health["model"]["preparation"], "raw");
    assert!(!fs::read_to_string(home.path().join("serve.err")).unwrap().contains("note: pictures"));
    let (sheet, pixels) = digit(3);
    let sheet = file(&sheet, ImageFormat::Png);
    let own = file(&GrayImage::from_raw(8, 8, pixels.clone()).unwrap(), ImageFormat::Png);
    let ask = |query: &str, body: &[u8]| {
        server.ask("POST", &format!("/predict?prepared=1{query}"), "image/png", body)
    };
    assert_eq!(ask("", &own).json()["prepared"], json!(rows(&pixels)));
    let refused = ask("", &sheet);
    assert_eq!((refused.status, refused.rule().as_str()), (400, "picture"));
    let message = refused.json()["error"]["message"].to_string();
    assert!(message.contains("found 120x140: send one of this size, or use ?prepare=resize"));
    let by = |kind: Preparation| {
        let gray = data::images::from_bytes(&sheet).unwrap();
        json!(rows(&kind.apply(&gray, [8, 8]).unwrap()))
    };
    for kind in [Preparation::Digit, Preparation::Resize] {
        let answer = ask(&format!("&prepare={kind}"), &sheet);
        assert_eq!(answer.json()["prepared"], by(kind), "{kind}");
    }
    assert_eq!(ask("&prepare=raw&raw=1", &own).status, 200);
    for query in ["&prepare=stretch", "&prepare=", "&prepare=digit&raw=1"] {
        assert_eq!(ask(query, &own).rule(), "query", "{query}");
    }
}

#[test]
fn serve_predictions_for_fashion_mnist_pictures_match_evaluate() {
    let Some(folder) = fashion_mnist() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let train =
        ["train", "-q", "--recipe", "tutorial", "--epochs", "2", "--out", "run", "--data-dir"];
    succeed(seqfit(home.path()).args(train).arg(&folder));
    let (_, test) = data::load_dir(&folder).unwrap();
    let pictures = save_images(&test, 1200, &home.path().join("pictures"));
    let server = Server::start(home.path(), &[]);
    let answers = served(&server, &pictures);
    assert_eq!(answers[..], evaluated(home.path())[..1200]);
    let right = answers.iter().enumerate();
    let right = right.filter(|(i, class)| **class == usize::from(test.label(*i))).count();
    assert!(right >= 960, "{right} of 1200");
}

/// Runs `test` against a server in this process with these limits.
fn with_limits(limits: Limits, test: impl FnOnce(std::net::SocketAddr)) {
    let model = Sequential::new([8, 8]).add(Flatten).add(Dense::new(2));
    let model = model.build(Device::Cpu, 0).unwrap();
    let card = Card {
        name: "x".into(),
        features: FeatureKind::Pixels,
        names: vec!["a".into(), "b".into()],
        preparation: Preparation::Digit,
        tested: None,
    };
    let config = ServeConfig { port: 0, limits, ..ServeConfig::default() };
    let server = seqfit::serve::Server::bind(model, card, config).unwrap();
    let address = server.address();
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let running = thread::spawn(move || server.run(move || asked.load(Ordering::Relaxed)));
    test(address);
    stop.store(true, Ordering::Relaxed);
    running.join().unwrap().unwrap();
}

fn ask(address: std::net::SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let _ = stream.write_all(bytes);
    answer(&mut stream)
}

#[test]
fn serve_enforces_time_memory_and_connection_limits() {
    let body = json!({ "pixels": vec![vec![0; 8]; 8] }).to_string();
    let whole = request("POST", "/predict", JSON, body.as_bytes());
    let short = Duration::from_millis(300);
    let limits = Limits { head: short, body_time: short, connections: 2, ..Limits::default() };
    with_limits(limits, |address| {
        let slow = ask(address, &whole[..whole.len() - 1]).expect("an answer");
        assert_eq!((slow.status, slow.rule().as_str()), (408, "time"));
        // A slow request head: hyper closes the connection without a response.
        let began = Instant::now();
        assert!(ask(address, &whole[..20]).is_none_or(|answer| answer.status == 408));
        assert!(began.elapsed() >= short);
        // A third connection is refused while two are open.
        let open = [(); 2].map(|()| std::net::TcpStream::connect(address).unwrap());
        thread::sleep(short / 3);
        let third = ask(address, b"").expect("an answer");
        assert_eq!((third.status, third.rule().as_str()), (503, "busy"));
        assert!(third.head.contains("retry-after: 1"));
        drop(open);
    });
    let limits = Limits { bodies: 100, ..Limits::default() };
    with_limits(limits, |address| {
        let full = ask(address, &whole).expect("an answer");
        assert_eq!((full.status, full.rule().as_str()), (503, "busy"));
        assert!(full.head.contains("retry-after: 1"), "{full:?}");
    });
    // A picture of 16 million pixels takes longer than 1 ms.
    let limits = Limits { answer: Duration::from_millis(1), ..Limits::default() };
    with_limits(limits, |address| {
        let large = file(&GrayImage::from_pixel(4000, 4000, Luma([9])), ImageFormat::Png);
        let late = ask(address, &request("POST", "/predict", "image/png", &large)).unwrap();
        assert_eq!((late.status, late.rule().as_str()), (503, "busy"));
    });
    // At most one image per batch, and a short connection timeout.
    let limits = Limits { batch: (256, 64), connection: short, ..Limits::default() };
    with_limits(limits, |address| {
        let two = json!({ "pixels": vec![vec![vec![0; 8]; 8]; 2] }).to_string();
        let two = ask(address, &request("POST", "/predict", JSON, two.as_bytes())).unwrap();
        assert_eq!((two.status, two.rule().as_str()), (400, "batch"));
        let mut idle = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(idle.read(&mut [0; 1]).ok(), Some(0), "hung up on");
    });
}

#[test]
fn serve_shuts_down_cleanly_on_signals() {
    let home = trained();
    let body = json!({ "pixels": rows(&digit(0).1) }).to_string();
    let whole = request("POST", "/predict", JSON, body.as_bytes());
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut server = Server::start(home.path(), &[]);
        let (mut begun, idle) = (server.connect(), server.connect());
        begun.write_all(&whole[..whole.len() - 5]).unwrap();
        check_well(&server);
        server.signal(name);
        thread::sleep(Duration::from_millis(200));
        // New connections are refused, started requests are completed, and idle connections do not delay
        // the exit.
        let address = server.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        assert!(std::net::TcpStream::connect(address).is_err());
        begun.write_all(&whole[whole.len() - 5..]).unwrap();
        assert_eq!(answer(&mut begun).map(|answer| answer.status), Some(200));
        assert_eq!(server.wait().code(), Some(code));
        let stderr = fs::read_to_string(home.path().join("serve.err")).unwrap();
        let end = format!("ended by SIG{name}\nnext: seqfit export run --python\n");
        assert!(stderr.ends_with(&end), "{stderr}");
        drop(idle);
    }
    // A request that is never completed is cut off; a second signal exits without waiting for that.
    let mut server = Server::start(home.path(), &[]);
    let mut begun = server.connect();
    begun.write_all(&whole[..whole.len() - 5]).unwrap();
    check_well(&server);
    server.signal("TERM");
    thread::sleep(Duration::from_millis(200));
    server.signal("TERM");
    assert_eq!(server.wait().signal(), Some(15));
    let mut server = Server::start(home.path(), &[]);
    let mut begun = server.connect();
    begun.write_all(&whole[..whole.len() - 5]).unwrap();
    check_well(&server);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(143));
    let stderr = fs::read_to_string(home.path().join("serve.err")).unwrap();
    assert!(stderr.contains("warning: 1 connection "), "{stderr}");
}

#[test]
fn serve_address_that_cannot_be_bound_is_an_error() {
    let home = trained();
    let server = Server::start(home.path(), &[]);
    let port = server.url().trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    for (options, message) in [
        (["--port", port.as_str()], "choose another --port"),
        (["--host", "192.0.2.1"], "choose another --host"),
    ] {
        let output = common::run(seqfit(home.path()).args(["serve", "run"]).args(options));
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains(message) && output.stdout.is_empty(), "{output:?}");
    }
    let model = Sequential::new([64]).add(Dense::new(3)).build(Device::Cpu, 0).unwrap();
    let card = Card {
        name: String::new(),
        features: FeatureKind::Floats,
        names: vec![String::new(); 2],
        preparation: Preparation::Raw,
        tested: None,
    };
    let config = ServeConfig { port: 0, ..ServeConfig::default() };
    let error = seqfit::serve::Server::bind(model, card, config).map(|_| ()).unwrap_err();
    assert!(matches!(error, ServeError::Names { outputs: 3, names: 2 }), "{error}");
}

#[test]
fn serve_openapi_metrics_and_responses_are_valid() {
    let needed = ["openapi_spec_validator", "prometheus_client"];
    let Some(python) = common::python_with(&needed) else { return };
    let home = trained();
    let server = Server::start(home.path(), &[]);
    let folder = home.path().join("answers");
    fs::create_dir(&folder).unwrap();
    let write = |name: &str, answer: Answer| fs::write(folder.join(name), answer.body).unwrap();
    let one = json!({ "pixels": rows(&digit(0).1) }).to_string();
    let list = json!({ "pixels": [rows(&digit(0).1), rows(&digit(1).1)] }).to_string();
    fs::write(folder.join("Request-1.json"), &one).unwrap();
    fs::write(folder.join("Request-2.json"), &list).unwrap();
    write("Prediction-1.json", server.ask("POST", "/predict", JSON, one.as_bytes()));
    write("Prediction-2.json", server.ask("POST", "/predict?prepared=1", JSON, one.as_bytes()));
    write("Predictions-1.json", server.ask("POST", "/predict?prepared=1", JSON, list.as_bytes()));
    write("Problem-1.json", server.ask("GET", "/x", "", b""));
    write("Problem-2.json", server.ask("POST", "/predict", JSON, b"{\"images\": [\"AAAA\"]}"));
    write("Health-1.json", server.ask("GET", "/health", "", b""));
    write("openapi.json", server.ask("GET", "/openapi.json", "", b""));
    write("metrics.txt", server.ask("GET", "/metrics", "", b""));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/check_openapi.py");
    let output = succeed(Command::new(python).arg(script).arg(&folder));
    let found: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(found["answers"], 8, "{found}");
    assert_eq!(found["metrics"].as_array().map(Vec::len), Some(7), "{found}");
}
