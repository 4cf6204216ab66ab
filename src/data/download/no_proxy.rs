//! `NO_PROXY`: the hosts that are contacted without a proxy.

use std::net::IpAddr;

use ureq::http::Uri;

/// The rule for the list.
pub(super) const RULE: &str =
    "hosts, domains, addresses or networks such as 10.0.0.0/8, separated by commas";

/// Returns whether the host of `uri` is on `list`. `example.com`, `.example.com` and `*.example.com` are the
/// domain and all its subdomains, `*` is every host; each may have a port.
///
/// # Errors
/// An entry with a `/` that is not a network.
pub(super) fn matches(list: &str, uri: &Uri) -> Result<bool, String> {
    let entries =
        list.split([',', ' ', '\t', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    let mut found = false;
    for entry in entries {
        found |= matches_entry(&entry.to_ascii_lowercase(), uri).ok_or_else(|| entry.to_owned())?;
    }
    Ok(found)
}

fn matches_entry(entry: &str, uri: &Uri) -> Option<bool> {
    if entry == "*" {
        return Some(true);
    }
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let own = address(&host);
    if let Some((network, bits)) = entry.split_once('/') {
        let (network, bits) = (address(network)?, bits.parse().ok()?);
        let contained = contains(network, bits, own)?;
        return Some(contained);
    }
    let (entry, port) = split_port(entry);
    if port.is_some() && port != port_of(uri) {
        return Some(false);
    }
    if let Some(own) = own {
        return Some(address(entry) == Some(own));
    }
    let domain = entry.strip_prefix('*').unwrap_or(entry).trim_matches('.');
    let host = host.trim_end_matches('.');
    let below =
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    Some(!domain.is_empty() && below)
}

/// Parses an address, with or without the brackets of IPv6.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Splits `host:80` and `[::1]:80`; an IPv6 address without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let split =
        entry.rsplit_once(':').filter(|(host, _)| host.ends_with(']') || !host.contains(':'));
    match split.and_then(|(host, port)| Some((host, port.parse().ok()?))) {
        Some((host, port)) => (host, Some(port)),
        None => (entry, None),
    }
}

fn port_of(uri: &Uri) -> Option<u16> {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some(uri.port_u16().unwrap_or(usual))
}

/// Returns whether a network contains an address; `None` if it has too many bits.
fn contains(network: IpAddr, bits: u32, address: Option<IpAddr>) -> Option<bool> {
    let (network, address, length) = match (network, address) {
        (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
            (u128::from(network.to_bits()), u128::from(address.to_bits()), 32)
        }
        (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
            (network.to_bits(), address.to_bits(), 128)
        }
        (network, _) => return (bits <= if network.is_ipv4() { 32 } else { 128 }).then_some(false),
    };
    let differing = (network ^ address).checked_shr(length - length.min(bits)).unwrap_or(0);
    (bits <= length).then_some(differing == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_domains_addresses_ports_and_networks_are_matched() {
        let on = |list: &str, host: &str| {
            let uri = format!("http://{host}/file").parse().unwrap();
            matches(list, &uri).unwrap()
        };
        for (list, host) in [
            ("*", "a.example"),
            ("x, a.example", "a.example"),
            ("x a.example", "A.Example"),
            ("example", "a.example"),
            (".example", "a.example"),
            (".a.example.", "a.example"),
            ("*.example", "b.a.example"),
            ("a.example:80", "a.example"),
            ("a.example:8080", "a.example:8080"),
            ("10.0.0.0/8", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("0.0.0.0/0", "10.1.2.3:99"),
            ("10.1.2.3", "10.1.2.3:99"),
            ("fe80::/10", "[fe80::1]"),
            ("::/0", "[2001:db8::1]"),
            ("2001:db8::1", "[2001:db8::1]"),
            ("[2001:db8::1]:80", "[2001:db8::1]"),
        ] {
            assert!(on(list, host), "{list} {host}");
        }
        for (list, host) in [
            ("", "a.example"),
            (",", "a.example"),
            (".", "a.example"),
            ("b.a.example", "a.example"),
            ("xample", "a.example"),
            ("a.example:81", "a.example"),
            ("10.0.0.0/8", "11.1.2.3"),
            ("10.1.2.2/31", "10.1.2.4"),
            ("10.0.0.0/8", "a.example"),
            ("2.3", "10.1.2.3"),
            ("fe80::/10", "10.1.2.3"),
        ] {
            assert!(!on(list, host), "{list} {host}");
        }
    }

    #[test]
    fn a_malformed_network_is_refused() {
        for list in ["10.0.0.0/33", "x/8", "10.0.0.0/", "x, ::/129", "http://a.example"] {
            let uri = "http://10.1.2.3/".parse().unwrap();
            assert!(matches(list, &uri).is_err(), "{list}");
        }
    }
}
