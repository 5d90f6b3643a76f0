//! Files that someone publishes for everybody, below an address that the user named or that came
//! with this program: a TUF mirror. No credentials go along. What is not there is an answer, for a
//! TUF client finds the newest root by asking for the next.

use super::body::{self, Cap};
use super::proxy::literal;
use super::service;
use super::session::{ClientCore, location};
use super::space::Space;
use super::transport::{Peer, shown};
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Registry;
use reqwest::{Method, Request, Url};
use std::time::Instant;

/// What came of asking for a file that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The file.
    File(Vec<u8>),
    /// It is not there, or not for us.
    Absent {
        /// What was answered: 403 or 404.
        status: u16,
    },
}

impl ClientCore {
    /// Fetches `path` below `base`, trying once more where that may help.
    pub(super) async fn published(
        &self,
        base: &str,
        path: &str,
        cap: u64,
        until: Instant,
    ) -> Result<Published, Failure> {
        let (base, host) = place(base)?;
        let url = below(&base, path)?;
        self.may_ask(&url)?;
        let until = until.min(self.clock.deadline());
        match self.published_once(&url, &host, cap, until).await {
            Err(Trouble::Passing { .. }) if Instant::now() + self.config.times.backoff < until => {
                tokio::time::sleep(self.config.times.backoff).await;
                self.published_once(&url, &host, cap, until).await.map_err(Trouble::into_failure)
            }
            outcome => outcome.map_err(Trouble::into_failure),
        }
    }

    async fn published_once(
        &self,
        url: &Url,
        host: &Registry,
        cap: u64,
        until: Instant,
    ) -> Result<Published, Trouble> {
        let mut at = url.clone();
        for hop in 0..=limits::REDIRECTS {
            // The user named the first host, which may be in any network; where it sends us must be
            // public.
            let peer = if hop == 0 { Peer::Own(host) } else { Peer::Foreign(Space::Public) };
            let response =
                self.transport.send(Request::new(Method::GET, at.clone()), peer, until).await?;
            if response.status().is_redirection() {
                at = location(&at, &response)?;
                if at.scheme() != "https" {
                    return Err(Failure::new(
                        Class::Net,
                        format!("`{}` redirects to what is not https", shown(url)),
                    )
                    .into());
                }
                continue;
            }
            let cap = if response.status().is_success() { Cap::of(cap) } else { body::ERROR };
            let reply = body::reply(response, cap, until, self.config.times.idle).await?;
            let status = reply.status.as_u16();
            let answered =
                || Failure::new(Class::Net, format!("`{}` answered {status}", shown(&at)));
            return match status {
                200 => Ok(Published::File(reply.body)),
                // Object stores answer 403 for what is not there.
                403 | 404 => Ok(Published::Absent { status }),
                401 => Err(answered()
                    .hint("a mirror must let everybody read: no credentials are sent to it")
                    .into()),
                429 | 500 | 502 | 503 | 504 => Err(Trouble::passing(answered())),
                _ => Err(answered().into()),
            };
        }
        Err(Failure::new(
            Class::Net,
            format!("`{}` redirects more than {} times", shown(url), limits::REDIRECTS),
        )
        .into())
    }
}

/// Reads the address of a mirror: https, or http on this machine; no user, no query.
pub(super) fn place(base: &str) -> Result<(Url, Registry), Failure> {
    let bad = |why: &str| {
        Failure::new(
            Class::Usage,
            format!("the address of a mirror {why}; expected `https://host/path`"),
        )
    };
    let mut url = Url::parse(base).map_err(|error| bad(&format!("is not a URL: {error}")))?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(bad("has a user, a query or a fragment"));
    }
    let host = service::named(&url)?;
    match url.scheme() {
        "https" => {}
        "http" if is_this_machine(&url) => {}
        "http" => return Err(bad("is plain http, which is accepted on loopback only")),
        _ => return Err(bad("is not https")),
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok((url, host))
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    literal(host).map_or(host == "localhost", |address| Space::of(address) == Space::Loopback)
}

/// Puts a name behind an address. The name holds what signed metadata says, and must not lead
/// elsewhere.
fn below(base: &Url, path: &str) -> Result<Url, Failure> {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.~%".contains(&c))
    };
    let dots =
        path.to_ascii_lowercase().contains("%2e") || path.to_ascii_lowercase().contains("%2f");
    if dots || !path.split('/').all(plain) {
        return Err(Failure::new(Class::Malformed, format!("a mirror names a file `{path}`")));
    }
    base.join(path).map_err(|error| {
        Failure::new(Class::Malformed, format!("a mirror names a file `{path}`: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_speaks_https_or_is_this_machine() {
        for (base, fine) in [
            ("https://tuf.example", true),
            ("https://tuf.example/a/b/", true),
            ("http://127.0.0.1:8080/tuf", true),
            ("http://localhost:8080", true),
            ("http://[::1]:8080", true),
            ("http://tuf.example", false),
            ("http://127.0.0.1.example", false),
            ("http://10.0.0.1", false),
            ("https://user@tuf.example", false),
            ("https://tuf.example/?token=x", false),
            ("ftp://tuf.example", false),
            ("file:///etc", false),
            ("tuf.example", false),
            ("", false),
        ] {
            assert_eq!(place(base).is_ok(), fine, "{base}");
        }
    }

    #[test]
    fn no_name_leads_out_of_the_mirror() {
        let (base, _) = place("https://tuf.example/a").unwrap();
        assert_eq!(
            below(&base, "2.root.json").unwrap().as_str(),
            "https://tuf.example/a/2.root.json"
        );
        assert_eq!(
            below(&base, "targets/0a.trusted_root.json").unwrap().as_str(),
            "https://tuf.example/a/targets/0a.trusted_root.json"
        );
        for path in [
            "",
            "/etc/x",
            "//evil.example/x",
            "../x",
            "targets/../../x",
            "a/%2e%2e/x",
            "a%2fb",
            "https://evil.example",
            "a?b",
            "a#b",
            "a\0b",
            "a\\b",
            "./x",
        ] {
            assert!(below(&base, path).is_err(), "{path}");
        }
    }
}
