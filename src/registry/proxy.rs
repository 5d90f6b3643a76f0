//! Which proxy a URL is reached through. One decision, used both for routing and for keeping
//! credentials out of the clear.
//!
//! Rules of Go's `httpproxy`, for the host decides so as well. Never asks DNS.
//!
//! Where a tunnel fails, the HTTP library does not say why: then the proxy is asked once more, by
//! hand, and what it answers is told of the proxy and of the variable that names it.

use super::config::{Proxies, RegistryConfig};
use super::space::Space;
use super::transport::shown;
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use std::net::IpAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How much of a proxy's answer is read: its first line says what it is.
const ANSWER_BYTES: usize = 1024;

/// A proxy, and the variable that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Through {
    pub(super) url: Url,
    pub(super) variable: &'static str,
}

impl Through {
    /// Returns the words for it: ``the proxy `http://p:3128` (HTTPS_PROXY)``.
    fn name(&self) -> String {
        format!("the proxy `{}` ({})", shown(&self.url), self.variable)
    }

    /// Returns what an answer of the proxy's own amounts to, for whom it was asked to reach.
    pub(super) fn refusal(&self, target: &str, status: u16) -> Trouble {
        let (name, variable) = (self.name(), self.variable);
        let failure =
            |what: &str| Failure::new(Class::Net, format!("`{target}`: {name} {what} ({status})"));
        match status {
            // tinyproxy says 401 where they are wrong.
            401 | 407 if self.url.password().is_some() || !self.url.username().is_empty() => {
                Trouble::Final(
                    failure("refused the user and password given there")
                        .hint(format!("correct them in {variable}")),
                )
            }
            407 => Trouble::Final(failure("wants a user and a password").hint(format!(
                "write them into {variable}, before the host: `USER:PASSWORD@{}`",
                shown(&self.url).split_once("://").map_or_else(String::new, |(_, at)| at.to_owned())
            ))),
            500..=599 => Trouble::passing(failure("could not reach it").hint(format!(
                "see whether the name is right and the proxy may go there; a host that needs no proxy belongs into NO_PROXY, not {variable}"
            ))),
            403 => Trouble::Final(failure("does not allow it").hint(
                "have it allowed there; a host that needs no proxy belongs into NO_PROXY",
            )),
            _ => Trouble::Final(failure("made no tunnel").hint(format!(
                "see whether {variable} names a proxy; a host that needs none belongs into NO_PROXY"
            ))),
        }
    }
}

/// Returns the proxy for `url`, or nothing where it is reached directly.
///
/// # Errors
/// `usage`: the variable names something that is not a proxy for this program.
pub(super) fn proxy_for(proxies: &Proxies, url: &Url) -> Result<Option<Through>, Failure> {
    let (proxy, variable) = match url.scheme() {
        "http" => (proxies.http.as_deref(), proxies.http_variable),
        "https" => (proxies.https.as_deref(), proxies.https_variable),
        _ => (None, ""),
    };
    let Some(proxy) = proxy.filter(|_| !is_direct(proxies, url)) else { return Ok(None) };
    read(proxy, variable).map(|url| Some(Through { url, variable }))
}

/// Reads what a variable says: a URL, or host and port without a scheme.
fn read(text: &str, variable: &str) -> Result<Url, Failure> {
    let bad = |what: String| {
        Failure::new(Class::Usage, format!("{variable} {what}; expected `http://HOST:PORT`"))
    };
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    // What is there may hold a password.
    let url = Url::parse(with_scheme.trim())
        .map_err(|error| bad(format!("is not a proxy URL ({error})")))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        "http" | "https" => Err(bad("names no host".to_owned())),
        scheme => {
            Err(bad(format!("names a proxy of the kind `{scheme}`, which is not spoken here"))
                .hint(format!("name an HTTP proxy in {variable}, or unset it")))
        }
    }
}

/// Finds out why no connection came about through a proxy; nothing, where it would come about now,
/// or the proxy is not asked so.
pub(super) async fn explain(
    through: &Through,
    target: &Url,
    config: &RegistryConfig,
    deadline: Instant,
) -> Option<Trouble> {
    let host = through.url.host_str()?;
    let port = through.url.port_or_known_default()?;
    let within = deadline.min(Instant::now() + config.times.connect);
    let unreachable = |why: String| {
        let (name, variable) = (through.name(), through.variable);
        Trouble::passing(
            Failure::new(
                Class::Net,
                format!("`{}`: {name} cannot be reached: {why}", shown(target)),
            )
            .hint(format!(
                "see whether {variable} names the right proxy; a host that needs none belongs into NO_PROXY"
            )),
        )
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let asked = async {
        let mut stream = match config.hosts.get(host).and_then(|known| known.first()) {
            Some(known) if known.port() != 0 => TcpStream::connect(known).await?,
            Some(known) => TcpStream::connect((known.ip(), port)).await?,
            None => TcpStream::connect((address, port)).await?,
        };
        if target.scheme() != "https" || through.url.scheme() != "http" {
            return Ok(None);
        }
        stream.write_all(connect_request(through, target).as_bytes()).await?;
        let mut answer = vec![0; ANSWER_BYTES];
        let mut length = 0;
        while let Some(free) = answer.get_mut(length..).filter(|free| !free.is_empty()) {
            let read = stream.read(free).await?;
            length += read;
            if read == 0 || answer.get(..length).is_some_and(|line| line.contains(&b'\n')) {
                break;
            }
        }
        answer.truncate(length);
        Ok::<_, std::io::Error>(Some(answer))
    };
    match tokio::time::timeout_at(within.into(), asked).await {
        Err(_) => Some(unreachable("it does not answer".to_owned())),
        Ok(Err(error)) => Some(unreachable(error.to_string())),
        Ok(Ok(None)) => None,
        Ok(Ok(Some(answer))) => match status(&answer) {
            Some(200) => None,
            Some(status) => Some(through.refusal(&shown(target), status)),
            None => Some(Trouble::Final(
                Failure::new(
                    Class::Net,
                    format!(
                        "`{}`: {} answers something that is not HTTP",
                        shown(target),
                        through.name()
                    ),
                )
                .hint(format!("see whether {} names a proxy, and its port", through.variable)),
            )),
        },
    }
}

fn connect_request(through: &Through, target: &Url) -> String {
    let host = target.host_str().unwrap_or_default();
    let port = target.port_or_known_default().unwrap_or(443);
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if !through.url.username().is_empty() || through.url.password().is_some() {
        let decoded = |text: &str| percent_decoded(text);
        let pair = format!(
            "{}:{}",
            decoded(through.url.username()),
            decoded(through.url.password().unwrap_or_default())
        );
        request.push_str("Proxy-Authorization: Basic ");
        request.push_str(&STANDARD.encode(pair));
        request.push_str("\r\n");
    }
    request + "\r\n"
}

/// Decodes what a URL had to encode.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads the status of an answer's first line: `HTTP/1.1 403 Forbidden`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|word| word.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

fn is_direct(proxies: &Proxies, url: &Url) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return true;
    };
    if host == "localhost"
        || literal(host).is_some_and(|address| Space::of(address) == Space::Loopback)
    {
        return true;
    }
    proxies
        .no_proxy
        .as_deref()
        .unwrap_or("")
        .split(',')
        .any(|entry| excludes(entry.trim(), host, port))
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
                ..Proxies::default()
            };
            assert_eq!(
                proxy_for(&proxies, &Url::parse(url).unwrap()).unwrap().is_none(),
                direct,
                "{entries} {url}"
            );
        }
    }

    #[test]
    fn a_proxy_may_be_written_without_a_scheme() {
        let proxies = Proxies { http: Some("p.example:3128".into()), ..Proxies::default() };
        let proxy = proxy_for(&proxies, &Url::parse("http://quay.io").unwrap()).unwrap().unwrap();
        assert_eq!(proxy.url.as_str(), "http://p.example:3128/");
        assert_eq!(proxy_for(&proxies, &Url::parse("https://quay.io").unwrap()), Ok(None));
    }

    #[test]
    fn what_is_no_proxy_is_refused_by_name() {
        for (text, word) in [
            ("socks5://p.example:1080", "`socks5`"),
            ("socks5h://user:canary@p.example:1080", "`socks5h`"),
            ("ftp://p.example", "`ftp`"),
            ("http://", "is not a proxy URL"),
            ("http://user:canary@:3128", "is not a proxy URL"),
            ("p.example:port", "is not a proxy URL"),
            ("http://p.example:99999", "is not a proxy URL"),
        ] {
            let proxies = Proxies {
                https: Some(text.into()),
                https_variable: "https_proxy",
                ..Proxies::default()
            };
            let failure = proxy_for(&proxies, &Url::parse("https://quay.io").unwrap()).unwrap_err();
            assert_eq!(failure.class(), Class::Usage, "{text}");
            assert!(
                failure.message().starts_with("https_proxy ") && failure.message().contains(word),
                "{failure}"
            );
            assert!(!failure.text().contains("canary"), "{failure}");
            // What is reached directly needs no proxy.
            let direct = Url::parse("https://localhost:5000").unwrap();
            assert_eq!(proxy_for(&proxies, &direct), Ok(None));
        }
    }

    #[test]
    fn a_password_is_sent_as_it_was_meant() {
        let through = Through {
            url: Url::parse("http://us%40er:p%3Aw%zz@p:3128").unwrap(),
            variable: "HTTPS_PROXY",
        };
        let request = connect_request(&through, &Url::parse("https://quay.io/x").unwrap());
        let pair = STANDARD.encode("us@er:p:w%zz");
        assert_eq!(
            request,
            format!(
                "CONNECT quay.io:443 HTTP/1.1\r\nHost: quay.io:443\r\nProxy-Authorization: Basic {pair}\r\n\r\n"
            )
        );
    }

    #[test]
    fn the_first_line_says_what_a_proxy_thinks() {
        for (answer, expected) in [
            ("HTTP/1.1 403 Forbidden\r\n", Some(403)),
            ("HTTP/1.0 200 ok\r\n\r\n", Some(200)),
            ("HTTP/1.1 407\r\n", Some(407)),
            ("SSH-2.0-x\r\n", None),
            ("", None),
            ("HTTP/1.1 x", None),
        ] {
            assert_eq!(status(answer.as_bytes()), expected, "{answer:?}");
        }
    }
}
