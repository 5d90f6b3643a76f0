//! Which proxy a URL is reached through. One decision, used both for routing and for keeping
//! credentials out of the clear.
//!
//! Rules of Go's `httpproxy`, for the host decides so as well. Never asks DNS.

use super::config::Proxies;
use super::space::Space;
use reqwest::Url;
use std::net::IpAddr;

/// Returns the proxy for `url`, or nothing where it is reached directly.
pub(super) fn proxy_for(proxies: &Proxies, url: &Url) -> Option<Url> {
    let proxy = match url.scheme() {
        "http" => proxies.http.as_deref(),
        "https" => proxies.https.as_deref(),
        _ => None,
    }?;
    let host = url.host_str()?;
    if host == "localhost"
        || literal(host).is_some_and(|address| Space::of(address) == Space::Loopback)
    {
        return None;
    }
    let port = url.port_or_known_default()?;
    if proxies
        .no_proxy
        .as_deref()
        .unwrap_or("")
        .split(',')
        .any(|entry| excludes(entry.trim(), host, port))
    {
        return None;
    }
    Url::parse(proxy)
        .ok()
        .filter(|url| url.has_host())
        .or_else(|| Url::parse(&format!("http://{proxy}")).ok())
}

/// Returns the address that a URL's host is, where it is one.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

fn excludes(entry: &str, host: &str, port: u16) -> bool {
    let entry = entry.to_ascii_lowercase();
    if entry.is_empty() {
        return false;
    }
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        return match (network.parse(), bits.parse(), literal(host)) {
            (Ok(network), Ok(bits), Some(address)) => within(address, network, bits),
            _ => false,
        };
    }
    if let Ok(address) = entry.parse::<IpAddr>() {
        return literal(host) == Some(address);
    }
    let (entry, only) = match entry.rsplit_once(':') {
        Some((name, digits)) if !digits.contains(']') => {
            (name.to_owned(), digits.parse::<u16>().ok())
        }
        _ => (entry, None),
    };
    if only.is_some_and(|only| only != port) {
        return false;
    }
    if let (Some(left), Some(right)) = (literal(&entry), literal(host)) {
        return left == right;
    }
    let entry = entry.strip_prefix('*').unwrap_or(&entry);
    match entry.strip_prefix('.') {
        Some(_) => host.ends_with(entry),
        None => host == entry || host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.')),
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_is_read_as_go_reads_it() {
        for (entries, url, direct) in [
            ("", "https://quay.io/", false),
            ("*", "https://quay.io/", true),
            ("quay.io", "https://quay.io/", true),
            ("quay.io", "https://cdn.quay.io/", true),
            ("quay.io", "https://evilquay.io/", false),
            (".quay.io", "https://quay.io/", false),
            (".quay.io", "https://cdn.quay.io/", true),
            ("*.quay.io", "https://cdn.quay.io/", true),
            ("quay.io:8443", "https://quay.io/", false),
            ("quay.io:8443", "https://quay.io:8443/", true),
            ("10.0.0.0/8", "https://10.1.2.3/", true),
            ("10.0.0.0/8", "https://11.1.2.3/", false),
            ("10.0.0.0/33", "https://10.1.2.3/", false),
            ("fd00::/8", "https://[fd00::1]/", true),
            ("10.1.2.3", "https://10.1.2.3/", true),
            ("a, quay.io ", "https://quay.io/", true),
            ("", "http://127.0.0.1:5000/", true),
            ("", "http://localhost:5000/", true),
            ("", "http://[::1]:5000/", true),
        ] {
            let proxies = Proxies {
                http: Some("p.example:3128".into()),
                https: Some("http://p.example".into()),
                no_proxy: Some(entries.into()),
            };
            assert_eq!(
                proxy_for(&proxies, &Url::parse(url).unwrap()).is_none(),
                direct,
                "{entries} {url}"
            );
        }
    }

    #[test]
    fn a_proxy_may_be_written_without_a_scheme() {
        let proxies = Proxies { http: Some("p.example:3128".into()), ..Proxies::default() };
        let proxy = proxy_for(&proxies, &Url::parse("http://quay.io").unwrap()).unwrap();
        assert_eq!(proxy.as_str(), "http://p.example:3128/");
        assert_eq!(proxy_for(&proxies, &Url::parse("https://quay.io").unwrap()), None);
    }
}
