//! `WWW-Authenticate` of a registry, read strictly: which scheme, and whether the realm is a URL
//! that may be asked at all.
//!
//! RFC 9110, section 11.6.1; Docker Registry v2, "Token Authentication Specification". Pure.

use super::transport::shown;
use crate::class::{Class, Failure};
use crate::name::Repository;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

/// Token services that belong to a registry with another host name. Others have theirs on the host
/// itself (`ghcr.io`, `quay.io`, `gcr.io`, `public.ecr.aws`), or are named by `auth_hosts`.
pub(super) const BUILT_IN: [(&str, &str); 2] =
    [("docker.io", "auth.docker.io"), ("registry.gitlab.com", "gitlab.com")];

/// What a registry wants.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Challenge {
    /// A user and a password.
    Basic,
    /// A token from somewhere.
    Bearer(Realm),
}

/// Where a token is to be had.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Realm {
    pub(super) url: Url,
    pub(super) service: Option<String>,
}

impl Realm {
    /// Returns whether the realm is at `entry`: `host` for every port, or `host:port`.
    pub(super) fn is_at(&self, entry: &str) -> bool {
        let entry = entry.to_ascii_lowercase();
        let Some(host) = self.url.host_str() else { return false };
        host == entry
            || self
                .url
                .port_or_known_default()
                .is_some_and(|port| format!("{host}:{port}") == entry)
    }
}

/// Reads the challenges of an answer; a token is preferred to a password.
///
/// # Errors
/// `auth` where there is none that can be answered.
pub(super) fn of(headers: &HeaderMap, repository: &Repository) -> Result<Challenge, Failure> {
    let refuse = |why: &str| {
        Failure::new(Class::Auth, format!("`{repository}`: the registry's challenge {why}"))
    };
    let mut basic = false;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let text = header.to_str().map_err(|_| refuse("is not ASCII"))?;
        for challenge in http_auth::parse_challenges(text).map_err(|_| refuse("cannot be read"))? {
            if challenge.scheme.eq_ignore_ascii_case("Bearer") {
                let value = |name: &str| {
                    challenge
                        .params
                        .iter()
                        .find(|(key, _)| key.eq_ignore_ascii_case(name))
                        .map(|(_, value)| value.to_unescaped())
                };
                let realm = value("realm").ok_or_else(|| refuse("names no realm"))?;
                return Ok(Challenge::Bearer(Realm {
                    url: realm_url(&realm).map_err(|why| refuse(&why))?,
                    service: value("service"),
                }));
            }
            basic |= challenge.scheme.eq_ignore_ascii_case("Basic");
        }
    }
    if basic { Ok(Challenge::Basic) } else { Err(refuse("is neither `Bearer` nor `Basic`")) }
}

/// Reads one `WWW-Authenticate`, as an answer may bring it, and returns where a token is to be had;
/// none where a password is asked for. For the fuzz target: the adapter reads whole answers.
///
/// # Errors
/// `auth`: it cannot be answered.
pub fn read_challenge(value: &[u8], repository: &Repository) -> Result<Option<String>, Failure> {
    let value = HeaderValue::from_bytes(value)
        .map_err(|_| Failure::new(Class::Auth, "no value of a header"))?;
    Ok(match of(&HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]), repository)? {
        Challenge::Basic => None,
        Challenge::Bearer(realm) => Some(realm.url.to_string()),
    })
}

pub(super) fn realm_url(text: &str) -> Result<Url, String> {
    if !text.bytes().all(|c| c.is_ascii_graphic()) {
        return Err("has a realm with blanks or control characters".to_owned());
    }
    let url = Url::parse(text).map_err(|_| "has a realm that is not a URL".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("has a realm of scheme `{}`; expected https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("has a realm at `{}` with a user in it", shown(&url)));
    }
    if url.fragment().is_some() {
        return Err(format!("has a realm at `{}` with a fragment", shown(&url)));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Challenge, Class> {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap());
        of(&headers, &"quay.io/a/b".parse().unwrap()).map_err(|failure| failure.class())
    }

    #[test]
    fn challenges_are_read() {
        let realm = |url: &str, service: Option<&str>| {
            Ok(Challenge::Bearer(Realm {
                url: Url::parse(url).unwrap(),
                service: service.map(ToOwned::to_owned),
            }))
        };
        assert_eq!(read("Basic realm=\"x\""), Ok(Challenge::Basic));
        assert_eq!(
            read("bearer REALM=\"https://a/t\",service=\"s\",scope=\"x\""),
            realm("https://a/t", Some("s"))
        );
        assert_eq!(
            read("Basic realm=\"x\", Bearer realm=\"https://a/t\""),
            realm("https://a/t", None)
        );
    }

    #[test]
    fn a_realm_that_could_mislead_is_refused() {
        for text in [
            "",
            "Digest realm=\"x\"",
            "Bearer",
            "Bearer service=\"s\"",
            "Bearer realm=\"\"",
            "Bearer realm=\"/token\"",
            "Bearer realm=\"//evil/token\"",
            "Bearer realm=\"file:///etc/passwd\"",
            "Bearer realm=\"gopher://x/\"",
            "Bearer realm=\"https://user@x/\"",
            "Bearer realm=\"https://user:pw@x/\"",
            "Bearer realm=\"https://x/#f\"",
            "Bearer realm=\"https://x/ y\"",
            "Bearer realm=\"https://x/\ty\"",
            "Bearer realm=\"https://\"",
            "Bearer realm=\"unterminated",
        ] {
            assert_eq!(read(text), Err(Class::Auth), "{text}");
        }
    }

    #[test]
    fn hosts_of_token_services_are_compared_whole() {
        let realm = |url: &str| Realm { url: Url::parse(url).unwrap(), service: None };
        for (url, entry, expected) in [
            ("https://auth.docker.io/token", "auth.docker.io", true),
            ("https://AUTH.docker.io/token", "Auth.docker.io", true),
            ("https://auth.docker.io:8443/token", "auth.docker.io", true),
            ("https://auth.docker.io/token", "auth.docker.io:443", true),
            ("https://auth.docker.io:8443/token", "auth.docker.io:443", false),
            ("https://auth.docker.io.evil/token", "auth.docker.io", false),
            ("https://xauth.docker.io/token", "auth.docker.io", false),
            ("https://docker.io/token", "auth.docker.io", false),
        ] {
            assert_eq!(realm(url).is_at(entry), expected, "{url} {entry}");
        }
    }
}
