//! The HTTP client: its limits, and what its answers mean.

use std::net::IpAddr;
use std::time::Duration;

use ureq::http::{HeaderMap, Uri};
use ureq::{Agent, config::Config};

/// For names, connections and each piece of an answer; a whole download takes as long as it takes.
const PATIENCE: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: u32 = 5;

/// A client for `url`: what begins as https stays https through all redirects.
pub(super) fn agent(url: &str) -> Agent {
    config(url).into()
}

fn config(url: &str) -> Config {
    let mut config = Agent::config_builder()
        .https_only(url.starts_with("https://"))
        .max_redirects(MAX_REDIRECTS)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .user_agent(concat!("seqfit/", env!("CARGO_PKG_VERSION")));
    if is_this_machine(url) {
        // A proxy would look for the mirror on its own machine.
        config = config.proxy(None);
    }
    config.build()
}

fn is_this_machine(url: &str) -> bool {
    let uri = url.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Length of the body, if it is announced.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.trim().parse().ok()
}

/// The first byte and the total length (if told) from `Content-Range: bytes 5-9/10`.
pub(super) fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let value = headers.get("content-range")?.to_str().ok()?;
    let (range, total) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((first.trim().parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_stays_https() {
        assert!(config("https://a.example/x").https_only());
        assert!(!config("http://a.example/x").https_only());
    }

    #[test]
    fn this_machine_is_asked_without_a_proxy() {
        for url in ["http://localhost/", "http://127.0.0.1:80/x", "http://[::1]:8000/"] {
            assert!(is_this_machine(url) && config(url).proxy().is_none(), "{url}");
        }
        for url in ["http://localhost.example/", "http://10.0.0.1/", "nonsense"] {
            assert!(!is_this_machine(url), "{url}");
        }
    }

    #[test]
    fn content_range_is_read_strictly() {
        let range = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-range", ureq::http::HeaderValue::from_static(value));
            content_range(&headers)
        };
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, None)));
        for value in ["", "bytes */10", "5-9/10", "bytes 5-9", "bytes -1-2/3", "bytes 1-2/x"] {
            assert_eq!(range(value), None, "{value}");
        }
    }
}
