//! Tests that a download is correct, complete and resumable, or an error that reports each mirror's failure.

use std::fs;
use std::path::PathBuf;

use crate::common;
use crate::common::fake_http_server::{self, Answer, Server};
use seqfit::data::DataError;
use seqfit::data::catalog::{Contents, RemoteFile};
use seqfit::data::download::{Progress, fetch_file};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Contents long enough to be cut into pieces, and different at every position.
fn body() -> Vec<u8> {
    (0..300_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Case {
    folder: TempDir,
    body: Vec<u8>,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), body: body() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("set/file.gz")
    }

    fn fetch(&self, servers: &[&Server]) -> Result<Vec<Progress>, DataError> {
        let mirrors: Vec<String> =
            servers.iter().map(|server| format!("{}/set/", server.address())).collect();
        self.fetch_from(&mirrors)
    }

    fn fetch_from(&self, mirrors: &[String]) -> Result<Vec<Progress>, DataError> {
        let sha256 = hex(&self.body);
        let bytes = self.body.len() as u64;
        let file = RemoteFile { name: "file.gz", bytes, sha256: &sha256, contents: None };
        let mut progress = Vec::new();
        let path =
            fetch_file(&file, mirrors, &self.folder.path().join("set"), &mut |p| progress.push(p))?;
        assert_eq!(path, self.path());
        assert_eq!(fs::read(path).unwrap(), self.body);
        assert_eq!(self.listing(), ["file.gz"]);
        Ok(progress)
    }

    fn listing(&self) -> Vec<String> {
        common::listing(&self.folder.path().join("set"))
    }

    /// The partial file of an earlier process.
    fn leave(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.folder.path().join("set")).unwrap();
        fs::write(self.folder.path().join("set").join(name), bytes).unwrap();
    }

    fn serving(&self) -> Server {
        Server::files(vec![("/set/file.gz".to_owned(), self.body.clone())])
    }
}

#[test]
fn download_progress_reaches_the_total() {
    let case = Case::new();
    let progress = case.fetch(&[&case.serving()]).unwrap();
    let total = case.body.len() as u64;
    assert!(progress.iter().all(|p| p.total == total && p.file == "file.gz"));
    assert!(progress.is_sorted_by_key(|p| p.done));
    assert_eq!(progress.last().unwrap().done, total);
}

#[test]
fn download_of_a_missing_file_tries_the_next_mirror() {
    let case = Case::new();
    let missing = Server::start(|_, _| Answer::Status(404));
    case.fetch(&[&missing, &case.serving()]).unwrap();
    assert_eq!(missing.asked().len(), 1);
}

#[test]
fn download_of_a_wrong_file_tries_the_next_mirror() {
    let case = Case::new();
    let mut wrong = case.body.clone();
    wrong[1000] ^= 1;
    let wrong = Server::start(move |_, _| Answer::Whole(wrong.clone()));
    case.fetch(&[&wrong, &case.serving()]).unwrap();
}

#[test]
fn download_resumes_after_a_cut_connection() {
    let case = Case::new();
    let body = case.body.clone();
    let server = Server::start(move |_, count| match count {
        0 => Answer::Cut(body.clone(), 500_000),
        1 => Answer::Cut(body.clone(), 300_000),
        _ => Answer::Ranged(body.clone()),
    });
    case.fetch(&[&server]).unwrap();
    let from: Vec<_> = server.asked().iter().map(|asked| asked.from).collect();
    assert_eq!(from, [None, Some(500_000), Some(800_000)]);
}

#[test]
fn download_resumes_from_another_mirror() {
    let case = Case::new();
    let body = case.body.clone();
    let broken = Server::start(move |_, count| match count {
        0 => Answer::Cut(body.clone(), 500_000),
        _ => Answer::Status(503),
    });
    let good = case.serving();
    case.fetch(&[&broken, &good]).unwrap();
    assert_eq!(good.asked()[0].from, Some(500_000));
}

#[test]
fn download_resumes_the_partial_file_of_an_earlier_process() {
    let case = Case::new();
    case.leave("file.gz.part", &case.body[..700_000]);
    let server = case.serving();
    case.fetch(&[&server]).unwrap();
    assert_eq!(server.asked()[0].from, Some(700_000));
    // A complete file needs no mirror.
    let case = Case::new();
    case.leave("file.gz.part", &case.body);
    let server = case.serving();
    case.fetch(&[&server]).unwrap();
    assert!(server.asked().is_empty());
}

#[test]
fn download_with_a_wrong_partial_file_starts_over_from_the_same_mirror() {
    for length in [10, 1_200_000, 1_200_001] {
        let case = Case::new();
        case.leave("file.gz.part", &vec![7; length]);
        case.fetch(&[&case.serving()]).unwrap();
    }
}

#[test]
fn download_starts_over_if_the_server_ignores_ranges() {
    let case = Case::new();
    case.leave("file.gz.part", &case.body[..700_000]);
    let body = case.body.clone();
    let server = Server::start(move |_, _| Answer::Whole(body.clone()));
    case.fetch(&[&server]).unwrap();
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn download_refuses_a_range_that_was_not_requested() {
    let case = Case::new();
    case.leave("file.gz.part", &case.body[..700_000]);
    let body = case.body.clone();
    let server = Server::start(move |asked, _| match asked.from {
        Some(_) => Answer::Partial(600_000, body[600_000..].to_vec()),
        None => Answer::Whole(body.clone()),
    });
    case.fetch(&[&server]).unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn download_writes_nothing_beyond_the_known_length() {
    let case = Case::new();
    let mut longer = case.body.clone();
    longer.extend([0; 100_000]);
    let announced = {
        let longer = longer.clone();
        Server::start(move |_, _| Answer::Whole(longer.clone()))
    };
    let unannounced = Server::start(move |_, _| Answer::Unannounced(longer.clone()));
    let error = case.fetch(&[&announced, &unannounced]).unwrap_err().to_string();
    assert_eq!(
        error.matches("at most 1200000 bytes, and the server sends more").count(),
        2,
        "{error}"
    );
    assert!(case.listing().is_empty(), "{:?}", case.listing());
}

#[test]
fn download_error_lists_every_mirror_and_leaves_no_file() {
    let case = Case::new();
    let mut wrong = case.body.clone();
    wrong.truncate(1000);
    let servers = [
        Server::start(|_, _| Answer::Status(404)),
        Server::start(move |_, _| Answer::Whole(wrong.clone())),
        Server::start(|asked, _| Answer::Redirect(asked.path.clone())),
    ];
    let mut mirrors: Vec<String> =
        servers.iter().map(|server| format!("{}/set/", server.address())).collect();
    mirrors.push(format!("{}/", fake_http_server::closed()));
    let error = case.fetch_from(&mirrors).unwrap_err();
    let text = error.to_string();
    for part in [
        "file.gz could not be downloaded",
        "status 404",
        &format!("must have SHA-256 {}", hex(&case.body)),
        "too many redirects",
        "SEQFIT_MIRROR",
        &case.folder.path().display().to_string(),
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains('\n') && text.matches("; http").count() == 3, "{text}");
    let DataError::Download { attempts, .. } = error else { panic!("{error:?}") };
    assert_eq!(attempts.len(), 4);
    assert!(attempts.iter().zip(&mirrors).all(|(a, m)| a.url == format!("{m}file.gz")));
    assert!(servers[2].asked().len() <= 7, "{}", servers[2].asked().len());
    assert!(case.listing().is_empty(), "{:?}", case.listing());
}

#[test]
fn partial_download_is_kept_for_the_next_run() {
    let case = Case::new();
    let body = case.body.clone();
    let broken = Server::start(move |_, count| match count {
        0 => Answer::Cut(body.clone(), 500_000),
        _ => Answer::Status(503),
    });
    assert!(case.fetch(&[&broken]).is_err());
    assert_eq!(case.listing(), ["file.gz.part"]);
    assert_eq!(fs::read(case.path().with_extension("gz.part")).unwrap(), case.body[..500_000]);
}

#[test]
fn existing_file_is_checked_and_kept_until_it_is_replaced() {
    let case = Case::new();
    case.leave("file.gz", &case.body);
    case.fetch(&[]).unwrap();

    case.leave("file.gz", b"wrong");
    assert!(case.fetch_from(&[format!("{}/", fake_http_server::closed())]).is_err());
    assert_eq!(fs::read(case.path()).unwrap(), b"wrong");
    case.fetch(&[&case.serving()]).unwrap();
}

#[test]
fn download_accepts_contents_compressed_by_another_program() {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    let contents = vec![5; 10_000];
    let gzip = |level| {
        let mut encoder = GzEncoder::new(Vec::new(), level);
        encoder.write_all(&contents).unwrap();
        encoder.finish().unwrap()
    };
    let (known, other) = (gzip(Compression::none()), gzip(Compression::best()));
    let sha256 = hex(&known);
    let inside = hex(&contents);
    let inside = Contents { bytes: contents.len() as u64, sha256: &inside };
    let bytes = known.len() as u64;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::files(vec![("/f.gz".to_owned(), other.clone())]);
    let mirrors = [format!("{}/", server.address())];
    for (contents, taken) in [(Some(inside), true), (None, false)] {
        let file = RemoteFile { name: "f.gz", bytes, sha256: &sha256, contents };
        let folder = folder.path().join(taken.to_string());
        assert_eq!(fetch_file(&file, &mirrors, &folder, &mut |_| {}).is_ok(), taken);
    }
}

/// Runs `seqfit data fetch mnist` with a mirror that only a proxy can reach.
fn fetch_through(
    home: &std::path::Path,
    mirror: &str,
    variables: &[(&str, &str)],
) -> common::CommandOutput {
    let mut command = common::seqfit(home);
    command.args(["data", "fetch", "mnist"]).env("SEQFIT_MIRROR", mirror).env_remove("NO_PROXY");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    {
        command.env_remove(name);
    }
    common::run(command.envs(variables.iter().copied()))
}

#[test]
fn http_proxy_gets_the_absolute_url_for_plain_http() {
    let home = tempfile::tempdir().unwrap();
    let file = "http://mirror.invalid:81/x/mnist/train-images-idx3-ubyte.gz";
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        let proxy = Server::start(|_, _| Answer::Status(404));
        let address = proxy.address().replace("://", "://me:se%3Acret@");
        let output =
            fetch_through(home.path(), "http://mirror.invalid:81/x", &[(variable, &address)]);
        assert!(output.code == 1 && output.stderr.contains("status 404"), "{output:?}");
        let asked = proxy.asked();
        assert_eq!(asked.len(), 1, "{variable}: {asked:?}");
        assert_eq!(asked[0].path, file);
        // "me:se:cret"
        assert_eq!(asked[0].authorization.as_deref(), Some("Basic bWU6c2U6Y3JldA=="));
    }
}

#[test]
fn http_proxy_is_asked_for_a_tunnel_for_https() {
    let home = tempfile::tempdir().unwrap();
    for variable in ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        let proxy = Server::start(|_, _| Answer::Status(407));
        let address = proxy.address().replace("://", "://me:secret@");
        let output = fetch_through(home.path(), "https://mirror.invalid", &[(variable, &address)]);
        assert_eq!(output.code, 1, "{output:?}");
        assert!(output.stderr.contains("407") && output.stderr.contains(variable), "{output:?}");
        assert!(!output.stderr.contains("secret"), "{output:?}");
        let asked = proxy.asked();
        assert_eq!(asked[0].path, "mirror.invalid:443");
        assert_eq!(asked[0].authorization.as_deref(), Some("Basic bWU6c2VjcmV0"));
    }
}

#[test]
fn socks_proxy_is_used_for_every_scheme() {
    let home = tempfile::tempdir().unwrap();
    for (scheme, port) in [("http", 80), ("https", 443)] {
        let (address, served) = fake_http_server::socks5();
        let proxy = format!("socks5h://{address}");
        let mirror = format!("{scheme}://mirror.invalid");
        let output = fetch_through(home.path(), &mirror, &[("ALL_PROXY", &proxy)]);
        assert!(output.code == 1 && output.stderr.contains("of ALL_PROXY"), "{output:?}");
        assert_eq!(served.join().unwrap().unwrap(), ("mirror.invalid".to_owned(), port));
    }
}

#[test]
fn unreachable_proxy_is_an_error_and_is_never_bypassed() {
    let home = tempfile::tempdir().unwrap();
    let closed = fake_http_server::closed();
    for scheme in ["http", "https", "socks4", "socks4a", "socks5", "socks5h"] {
        let proxy = closed.replace("http", scheme);
        // An address that this machine could reach without the proxy.
        let mirror = "http://192.0.2.1:9";
        let output = fetch_through(home.path(), mirror, &[("ALL_PROXY", &proxy)]);
        let message = format!("through the proxy {proxy} of ALL_PROXY");
        assert!(output.code == 1 && output.stderr.contains(&message), "{output:?}");
    }
}

#[test]
fn malformed_proxy_error_names_its_variable() {
    let home = tempfile::tempdir().unwrap();
    for value in ["socks6://me:secret@host", "http://host:port", "://", "http:/me:secret@host"] {
        for command in [&["data", "fetch", "mnist"][..], &["train", "-q"], &["doctor"]] {
            let mut run = common::seqfit(home.path());
            run.args(command).env("SEQFIT_MIRROR", "http://mirror.invalid").env_remove("NO_PROXY");
            let output = common::run(run.env("http_proxy", value));
            let text = output.stdout + &output.stderr;
            assert!(output.code == 1 && text.contains("http_proxy must be the address"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}

#[test]
fn local_mirror_is_reached_without_the_proxy() {
    let home = tempfile::tempdir().unwrap();
    let mirror = Server::start(|_, _| Answer::Status(404));
    fetch_through(home.path(), mirror.address(), &[("ALL_PROXY", &fake_http_server::closed())]);
    assert_eq!(mirror.asked().len(), 1);
}

#[test]
fn mnist_downloads_through_a_proxy() {
    let Some(mnist) = common::mnist() else { return };
    let home = tempfile::tempdir().unwrap();
    let files = common::listing(&mnist).into_iter().filter(|name| name.ends_with(".gz"));
    let at = |name: &str| format!("http://mirror.invalid/mnist/{name}");
    let proxy = Server::files(
        files.map(|name| (at(&name), fs::read(mnist.join(&name)).unwrap())).collect(),
    );
    let output =
        fetch_through(home.path(), "http://mirror.invalid", &[("http_proxy", proxy.address())]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(proxy.asked().len(), 4);
}
