//! Registries and repositories, in their one canonical form.

use crate::class::{Class, Failure};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Docker Hub, as references name it once canonical.
const HUB: &str = "docker.io";
/// Other names of Docker Hub: go-containerregistry's and the one that answers.
const HUB_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];
/// Where Docker Hub answers.
const HUB_ENDPOINT: &str = "registry-1.docker.io";
/// Longest host, with port, in bytes.
const MAX_HOST_BYTES: usize = 255 + 6;
/// Longest path of a repository, in bytes (go-containerregistry `pkg/name/repository.go`: 255).
const MAX_PATH_BYTES: usize = 255;

/// A registry: host in lower case, with its port unless that is 443 and the host has a dot. Docker
/// Hub is `docker.io`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Registry(String);

impl Registry {
    /// Returns the canonical text, `host` or `host:port`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host without its port, brackets of an IPv6 address kept.
    #[must_use]
    pub fn host(&self) -> &str {
        split_port(&self.0).0
    }

    /// Returns the port, where one other than 443 was named.
    #[must_use]
    pub fn port(&self) -> Option<&str> {
        split_port(&self.0).1
    }

    /// Returns the authority that requests go to: the same, but for Docker Hub.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        if self.0 == HUB { HUB_ENDPOINT } else { &self.0 }
    }

    /// Returns whether the host is this machine, by its name: only `localhost`, 127.0.0.0/8 and
    /// `::1` are.
    ///
    /// Names such as `x.localhost` are left out: who answers to them is for a resolver to say.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let address =
            host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Splits `host:port`; the brackets of an IPv6 address stay with the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

impl FromStr for Registry {
    type Err = Failure;

    /// Parses `host[:port]` and makes it canonical: lower case, no trailing dot, no `:443` unless
    /// the host has no dot, one name for Docker Hub.
    ///
    /// # Errors
    /// `reference`: characters outside ASCII (internationalised names are written in punycode), an
    /// empty label, a bad port.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let bad = |why: &str| {
            Failure::new(Class::Reference, format!("`{text}` is not the name of a registry: {why}"))
        };
        if text.is_empty() || text.len() > MAX_HOST_BYTES {
            return Err(bad("expected 1 to 261 characters"));
        }
        if !text.is_ascii() {
            return Err(bad("expected ASCII; write international names in punycode (`xn--...`)"));
        }
        let lower = text.to_ascii_lowercase();
        let (host, port) = split_port(&lower);
        if let Some(port) = port {
            let number: u16 = port.parse().map_err(|_| bad("expected a port from 1 to 65535"))?;
            if number == 0 || port.starts_with('0') || port.starts_with('+') {
                return Err(bad("expected a port from 1 to 65535"));
            }
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Some(address) = host.strip_prefix('[') {
            let address = address.strip_suffix(']').ok_or_else(|| bad("`[` without `]`"))?;
            address
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| bad("expected an IPv6 address between brackets"))?;
        } else {
            let label = |label: &str| {
                !label.is_empty()
                    && label.len() <= 63
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
            };
            if !host.split('.').all(label) {
                return Err(bad("expected labels of letters, digits and hyphens between dots"));
            }
        }
        let host = if HUB_ALIASES.contains(&host) { HUB } else { host };
        // `registry/x` is a repository of Docker Hub: what has neither dot nor port reads as a
        // path, so such a host keeps its port.
        let reads_as_host = host.contains('.') || host.starts_with('[');
        Ok(match port.unwrap_or("443") {
            "443" if reads_as_host => Self(host.to_owned()),
            port => Self(format!("{host}:{port}")),
        })
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A repository: a registry and a path of segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    registry: Registry,
    path: String,
}

impl Repository {
    /// Returns the registry.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the path, without slashes at its ends.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the name as go-containerregistry and cosign write it: Docker Hub is
    /// `index.docker.io` there.
    ///
    /// That is what stands as `docker-reference` in a signed payload.
    #[must_use]
    pub fn cosign_name(&self) -> String {
        if self.registry.as_str() == HUB {
            format!("index.docker.io/{}", self.path)
        } else {
            self.to_string()
        }
    }
}

impl FromStr for Repository {
    type Err = Failure;

    /// Parses `[registry/]path`; a name without a registry is Docker Hub's, one without a slash
    /// is in its `library/`.
    ///
    /// # Errors
    /// `reference`: a tag or digest, an empty or dotted segment, upper case, anything outside
    /// `[a-z0-9._-]`.
    fn from_str(text: &str) -> Result<Self, Failure> {
        let bad = |why: String| {
            Failure::new(
                Class::Reference,
                format!("`{text}` is not the name of a repository: {why}"),
            )
        };
        let (registry, path) = match text.split_once('/') {
            // What has neither dot nor colon is not a registry, `localhost` included: so does
            // go-containerregistry read it, and with it the host that fetches the image.
            Some((first, rest)) if first.contains(['.', ':']) => {
                (first.parse::<Registry>()?, rest.to_owned())
            }
            Some(_) => (Registry(HUB.to_owned()), text.to_owned()),
            None => (Registry(HUB.to_owned()), format!("library/{text}")),
        };
        let path = match registry.as_str() {
            // The library knows two names of Docker Hub, and gives no other a `library/`.
            HUB if !path.contains('/') && text.to_ascii_lowercase().starts_with(HUB_ENDPOINT) => {
                return Err(bad(format!("write it as `{HUB}/library/{path}`")));
            }
            HUB if !path.contains('/') => format!("library/{path}"),
            _ => path,
        };
        if path.len() > MAX_PATH_BYTES {
            return Err(bad(format!(
                "expected a path of at most {MAX_PATH_BYTES} characters, found {}",
                path.len()
            )));
        }
        for segment in path.split('/') {
            check_segment(segment).map_err(bad)?;
        }
        Ok(Self { registry, path })
    }
}

/// Checks one segment of a path: `[a-z0-9]` at both ends, `[a-z0-9._-]` between, no `..`.
pub(super) fn check_segment(segment: &str) -> Result<(), String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = segment.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) if plain(*first) && plain(*last) => {}
        (None, _) | (_, None) => return Err("an empty segment between slashes".to_owned()),
        _ => {
            return Err(format!(
                "segment `{segment}` must start and end with a lowercase letter or digit"
            ));
        }
    }
    if segment.contains("..") {
        return Err(format!("segment `{segment}` has two dots in a row"));
    }
    if let Some(c) = segment
        .chars()
        .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-')))
    {
        return Err(format!(
            "segment `{segment}` has `{c}`; expected lowercase letters, digits, `.`, `_` and `-`"
        ));
    }
    Ok(())
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}
