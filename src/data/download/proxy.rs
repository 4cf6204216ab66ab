//! The proxy that the environment specifies for an address, chosen as curl does.
//!
//! Differences from curl: an upper-case `HTTP_PROXY` counts, as everywhere but in curl; an address of
//! this machine is contacted directly; `NO_PROXY` also accepts `*.domain` and ports. Invalid settings
//! are errors. curl: <https://curl.se/docs/manpage.html#ENVIRONMENT>.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use ureq::ProxyProtocol;
use ureq::http::Uri;

use super::super::error::DataError;
use super::no_proxy;

/// The rule for a variable that names a proxy.
const RULE: &str = "the address of a proxy, such as http://HOST:3128 or socks5h://USER:PASSWORD@HOST:1080 \
                    (http, https, socks4, socks4a, socks5, socks5h)";

/// curl's default, for a proxy address without a port.
const PORT: u16 = 1080;

/// A proxy, and the variable that names it. Displayed without its user name and password.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    variable: &'static str,
    inner: ureq::Proxy,
}

impl Proxy {
    /// Returns the proxy for `uri`, `None` for a direct connection.
    ///
    /// # Errors
    /// The variable that applies does not hold the address of a proxy, or `NO_PROXY` has a malformed network.
    pub fn from_env(uri: &Uri) -> Result<Option<Self>, DataError> {
        Self::from_lookup(uri, |name| env::var_os(name))
    }

    fn from_lookup(
        uri: &Uri,
        get: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Option<Self>, DataError> {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|&name| {
                let value = get(name).filter(|value| !value.is_empty())?;
                Some((name, value.to_string_lossy().trim().to_owned()))
            })
        };
        let Some((variable, value)) = first(variables(uri)) else { return Ok(None) };
        if let Some((variable, list)) = first(&["no_proxy", "NO_PROXY"])
            && no_proxy::matches(&list, uri)
                .map_err(|found| environment(variable, no_proxy::RULE, found))?
        {
            return Ok(None);
        }
        let inner = parse(&value).ok_or_else(|| environment(variable, RULE, redacted(&value)))?;
        // A proxy would look for the mirror on its own machine.
        Ok((!is_this_machine(uri)).then_some(Self { variable, inner }))
    }

    pub fn inner(&self) -> &ureq::Proxy {
        &self.inner
    }

    /// Returns whether requests for `uri` are sent to the proxy directly, without a tunnel.
    pub fn forwards(&self, uri: &Uri) -> bool {
        uri.scheme_str() == Some("http") && self.inner.protocol() == ProxyProtocol::Http
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) =
            (self.inner.uri().scheme_str(), self.inner.host(), self.inner.port());
        write!(f, "the proxy {}://{host}:{port} of {}", scheme.unwrap_or("http"), self.variable)
    }
}

/// Returns the variables that may name the proxy for `uri`; the first that is set counts.
fn variables(uri: &Uri) -> &'static [&'static str] {
    match uri.scheme_str() {
        Some("https") => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        _ => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    }
}

fn environment(variable: &'static str, rule: &'static str, found: String) -> DataError {
    DataError::Environment { variable, rule, found }
}

/// Parses `[SCHEME://][USER[:PASSWORD]@]HOST[:PORT][/]`.
fn parse(value: &str) -> Option<ureq::Proxy> {
    let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "socks" => "socks4".to_owned(),
        scheme @ ("http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") => {
            scheme.to_owned()
        }
        _ => return None,
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (user, place) = match authority.rsplit_once('@') {
        // As in any URL these have to be written as %2F, %3F and %23.
        Some((user, _)) if user.contains(['/', '?', '#']) => return None,
        Some((user, place)) => (format!("{}@", user.replace('@', "%40")), place),
        None => (String::new(), authority),
    };
    let (host, port) = host_and_port(place)?;
    let port = port.unwrap_or(if scheme == "https" { 443 } else { PORT });
    ureq::Proxy::new(&format!("{scheme}://{user}{host}:{port}")).ok()
}

/// Splits `HOST[:PORT]`; an IPv6 address is in brackets.
fn host_and_port(place: &str) -> Option<(&str, Option<u16>)> {
    let end = place.find(']').map_or(0, |end| end + 1);
    let colon = place[end..].find(':').map(|colon| end + colon);
    let (host, port) = place.split_at(colon.unwrap_or(place.len()));
    let port = match port.strip_prefix(':') {
        None | Some("") => None,
        Some(port) => Some(port.parse().ok().filter(|&port| port > 0)?),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let valid = match host.strip_prefix('[') {
        Some(rest) => matches!(rest.strip_suffix(']')?.parse(), Ok(IpAddr::V6(_))),
        None => !host.is_empty() && host.chars().all(is_name),
    };
    valid.then_some((host, port))
}

/// Returns a value for a message, without what may be a password.
fn redacted(value: &str) -> String {
    let (scheme, rest) = match value.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), value),
    };
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}***@{place}"),
        None => format!("{scheme}{rest}"),
    }
}

fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    host.eq_ignore_ascii_case("localhost")
        || no_proxy::address(host).is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTTPS: &str = "https://mirror.example/set/file.gz";
    const HTTP: &str = "http://mirror.example/set/file.gz";

    fn proxy(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        match Proxy::from_lookup(&url.parse().unwrap(), get) {
            Ok(found) => Ok(found.map(|proxy| proxy.to_string())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn of(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let said = proxy(url, variables).unwrap()?;
        Some(said.strip_prefix("the proxy ").unwrap().to_owned())
    }

    #[test]
    fn the_variable_is_chosen_by_the_scheme_of_the_address() {
        let all = [
            ("ALL_PROXY", "a"),
            ("all_proxy", "b"),
            ("HTTPS_PROXY", "c"),
            ("https_proxy", "d"),
            ("HTTP_PROXY", "e"),
            ("http_proxy", "f"),
        ];
        for (from, https, http) in [
            (0, Some("d:1080 of https_proxy"), Some("f:1080 of http_proxy")),
            (5, Some("a:1080 of ALL_PROXY"), Some("a:1080 of ALL_PROXY")),
        ] {
            let set = &all[..all.len() - from];
            let expected = |said: Option<&str>| said.map(|said| format!("http://{said}"));
            assert_eq!((of(HTTPS, set), of(HTTP, set)), (expected(https), expected(http)));
        }
        // An upper-case HTTP_PROXY is for http only, and an empty variable counts as unset.
        assert_eq!(of(HTTPS, &[("HTTP_PROXY", "e")]), None);
        assert_eq!(of(HTTP, &[("HTTPS_PROXY", "e")]), None);
        let set = [("http_proxy", ""), ("HTTP_PROXY", "e:3128")];
        assert_eq!(of(HTTP, &set), Some("http://e:3128 of HTTP_PROXY".to_owned()));
        assert_eq!(of(HTTP, &[]), None);
    }

    #[test]
    fn a_proxy_is_read_as_curl_reads_it() {
        for (value, read) in [
            ("host", "http://host:1080"),
            ("host:3128/", "http://host:3128"),
            ("HTTP://host:3128", "http://host:3128"),
            ("https://host", "https://host:443"),
            ("socks://host", "socks4://host:1080"),
            ("socks5h://user:p@ss@host:9", "socks5h://host:9"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("user:secret@10.0.0.1:80", "http://10.0.0.1:80"),
        ] {
            let said = of(HTTPS, &[("ALL_PROXY", value)]);
            assert_eq!(said, Some(format!("{read} of ALL_PROXY")), "{value}");
        }
        let inner = parse("http://us%40er:p@s%3As@host").unwrap();
        assert_eq!((inner.username(), inner.password()), (Some("us@er"), Some("p@s:s")));
    }

    #[test]
    fn a_malformed_proxy_is_an_error_without_its_password() {
        for value in [
            "ftp://user:secret@host",
            "socks6://host",
            "http://",
            "://host",
            "http://user:secret@",
            "http://user:secret@host:99999",
            "http://user:secret@host:0",
            "http://user:secret@host:x",
            "user:secret@ho st",
            "http://[::1",
            "http:/user:secret@host",
            "r32/?//52:**",
        ] {
            let error = proxy(HTTPS, &[("HTTPS_PROXY", value)]).unwrap_err();
            assert!(error.starts_with("HTTPS_PROXY must be the address of a proxy"), "{error}");
            assert!(!error.contains("secret") && error.contains("unset it"), "{error}");
            // A variable that does not apply is not parsed.
            assert_eq!(of(HTTP, &[("HTTPS_PROXY", value)]), None);
        }
    }

    #[test]
    fn this_machine_is_contacted_without_a_proxy() {
        let set = [("ALL_PROXY", "http://proxy.example:3128")];
        for url in ["http://localhost/", "http://127.0.0.1:80/x", "http://[::1]:8000/"] {
            assert_eq!(of(url, &set), None, "{url}");
        }
        for url in ["http://localhost.example/", "http://10.0.0.1/"] {
            assert!(of(url, &set).is_some(), "{url}");
        }
        assert!(proxy("http://localhost/", &[("ALL_PROXY", "nonsense://x")]).is_err());
    }

    #[test]
    fn no_proxy_bypasses_the_proxy() {
        let set = |list| [("ALL_PROXY", "proxy:3128"), ("NO_PROXY", list)];
        assert_eq!(of(HTTP, &set("mirror.example")), None);
        assert!(of(HTTP, &set("other.example")).is_some());
        // The lower-case one comes first.
        let both = [("ALL_PROXY", "proxy"), ("no_proxy", "x"), ("NO_PROXY", "*")];
        assert!(of(HTTP, &both).is_some());
        let error = proxy(HTTP, &set("10.0.0.0/33")).unwrap_err();
        assert!(error.starts_with("NO_PROXY must be hosts"), "{error}");
    }
}
