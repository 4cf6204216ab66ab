//! The HTTP client: its limits, the route to a host, and the meaning of responses.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::config::Config;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body};

use super::http_via_proxy;
use super::problem::MirrorProblem;
use super::proxy::Proxy;
use super::stop_reason::Stop;

/// Timeout for names, connections and each piece of a response; a whole download has no time limit.
const PATIENCE: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 5;

/// Requests the file at `url`, from byte `first` if that is not 0, and follows redirects: the proxy is chosen
/// for each of them, and https redirects only to https.
///
/// # Errors
/// No response, one with an error status, too many redirects; an invalid proxy setting.
pub(super) fn get(url: &str, first: u64) -> Result<Response<Body>, Stop> {
    let mut at = parsed(url)?;
    for _ in 0..=MAX_REDIRECTS {
        let response = ask(&at, first)?;
        let place = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
        match place.filter(|_| response.status().is_redirection()) {
            Some(place) => at = redirected(&at, place)?,
            None => return Ok(response),
        }
    }
    Err(problem("too many redirects"))
}

/// Requests the file at `url` without downloading it. Returns the proxy's description if there is one.
///
/// # Errors
/// Like [`get`].
pub(super) fn reach(url: &str) -> Result<Option<String>, Stop> {
    let proxy = Proxy::from_env(&parsed(url)?).map_err(Stop::Here)?;
    get(url, 0)?;
    Ok(proxy.map(|proxy| proxy.to_string()))
}

fn ask(uri: &Uri, first: u64) -> Result<Response<Body>, Stop> {
    let proxy = Proxy::from_env(uri).map_err(Stop::Here)?;
    let forwarding = proxy.as_ref().filter(|proxy| proxy.forwards(uri));
    let mut request = agent(uri, proxy.as_ref()).get(uri).header("Accept-Encoding", "identity");
    if let Some(credentials) = forwarding.and_then(|proxy| basic(proxy.inner())) {
        request = request.header(header::PROXY_AUTHORIZATION, credentials);
    }
    if first > 0 {
        request = request.header(header::RANGE, format!("bytes={first}-"));
    }
    request.call().map_err(|error| match (error, &proxy) {
        (ureq::Error::StatusCode(407), Some(proxy)) => {
            problem(&format!("{proxy} wants a user name and a password (407), or others"))
        }
        (ureq::Error::StatusCode(status), _) => MirrorProblem::Status(status).into(),
        (error, Some(proxy)) => problem(&format!("{error}, through {proxy}")),
        (error, None) => problem(&error.to_string()),
    })
}

fn agent(uri: &Uri, proxy: Option<&Proxy>) -> Agent {
    let forwarding = proxy.filter(|proxy| proxy.forwards(uri));
    // Always set: without it ureq looks for a proxy itself, and ignores what it cannot parse.
    let tunnel = if forwarding.is_some() { None } else { proxy };
    let config = config(tunnel.map(|proxy| proxy.inner().clone()));
    match forwarding {
        Some(proxy) => http_via_proxy::agent(config, uri, proxy.inner().uri()),
        None => config.into(),
    }
}

fn config(proxy: Option<ureq::Proxy>) -> Config {
    Agent::config_builder()
        .proxy(proxy)
        .max_redirects(0)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .user_agent(concat!("seqfit/", env!("CARGO_PKG_VERSION")))
        .build()
}

fn basic(proxy: &ureq::Proxy) -> Option<String> {
    let user = proxy.username()?;
    let both = format!("{user}:{}", proxy.password().unwrap_or_default());
    Some(format!("Basic {}", BASE64_STANDARD.encode(both)))
}

fn problem(text: &str) -> Stop {
    MirrorProblem::Connection(text.to_owned()).into()
}

fn parsed(url: &str) -> Result<Uri, Stop> {
    let uri: Uri = url.parse().map_err(|error| problem(&format!("{url:?}: {error}")))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err(problem(&format!("{url:?} is not an http or https address"))),
    }
}

/// Returns the target of a redirect from `base`.
fn redirected(base: &Uri, place: &str) -> Result<Uri, Stop> {
    let next = parsed(&joined(base, place))?;
    if base.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
        return Err(problem("an https address must redirect to https, found http"));
    }
    Ok(next)
}

/// Resolves `place`, absolute or relative, against `base`.
fn joined(base: &Uri, place: &str) -> String {
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    if place.contains("://") {
        place.to_owned()
    } else if place.starts_with("//") {
        format!("{scheme}:{place}")
    } else if place.starts_with('/') {
        format!("{scheme}://{authority}{place}")
    } else {
        format!("{scheme}://{authority}{folder}/{place}")
    }
}

/// Returns the length of the body, if it is announced.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get("content-length")?.to_str().ok()?.trim().parse().ok()
}

/// Returns the first byte and the total length (if given) from `Content-Range: bytes 5-9/10`.
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
    fn a_redirect_leads_where_it_says() {
        let base = "https://a.example:1/x/y?z".parse().unwrap();
        for (place, url) in [
            ("http://b.example/", "http://b.example/"),
            ("//b.example/c", "https://b.example/c"),
            ("/c", "https://a.example:1/c"),
            ("c/d", "https://a.example:1/x/c/d"),
        ] {
            assert_eq!(joined(&base, place), url);
        }
    }

    #[test]
    fn https_stays_https() {
        let [secure, plain] = ["https://a.example/x", "http://a.example/x"].map(|url| url.parse());
        for (base, place, stays) in [
            (secure.as_ref().unwrap(), "http://a.example/", false),
            (secure.as_ref().unwrap(), "HTTP://a.example/", false),
            (secure.as_ref().unwrap(), "//b.example/", true),
            (plain.as_ref().unwrap(), "https://a.example/", true),
            (plain.as_ref().unwrap(), "ftp://a.example/", false),
        ] {
            assert_eq!(redirected(base, place).is_ok(), stays, "{base} {place}");
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
