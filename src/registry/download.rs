//! A small file behind an https URL that the user named: a public key. No credentials go along, and
//! redirects stay on https.

use super::body::{self, Cap};
use super::service;
use super::session::{ClientCore, location};
use super::space::Space;
use super::transport::{Peer, shown};
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::limits;
use reqwest::{Method, Request, Url};

impl ClientCore {
    pub(super) async fn download(&self, url: &str, cap: u64) -> Result<Vec<u8>, Failure> {
        let url = Url::parse(url).map_err(|error| {
            Failure::new(Class::Usage, format!("`{}` is not a URL: {error}", harmless(url)))
        })?;
        let named = service::named(&url)?;
        self.may_ask(&url)?;
        self.persist(true, async || {
            let mut at = url.clone();
            for hop in 0..=limits::REDIRECTS {
                if at.scheme() != "https" {
                    return Err(
                        Failure::new(Class::Net, format!("`{}` is not https", shown(&at))).into()
                    );
                }
                let request = Request::new(Method::GET, at.clone());
                // The user named the first host, which may be in any network; where it sends us
                // must be public.
                let peer = if hop == 0 { Peer::Own(&named) } else { Peer::Foreign(Space::Public) };
                let response = self.transport.send(request, peer, self.clock.deadline()).await?;
                if response.status().is_redirection() {
                    at = location(&at, &response)?;
                    continue;
                }
                let reply = body::reply(
                    response,
                    Cap::of(cap),
                    self.clock.deadline(),
                    self.config.times.idle,
                )
                .await?;
                return if reply.status.is_success() {
                    Ok(reply.body)
                } else {
                    Err(Trouble::Final(Failure::new(
                        Class::Net,
                        format!("`{}` answered {}", shown(&at), reply.status.as_u16()),
                    )))
                };
            }
            Err(Failure::new(
                Class::Net,
                format!("`{}` redirects more than {} times", shown(&url), limits::REDIRECTS),
            )
            .into())
        })
        .await
    }
}

/// Returns text that is not a URL as it may be shown: what may hold a password or a token is left out,
/// its end unknown.
fn harmless(text: &str) -> String {
    if !text.contains(['@', '?', '#']) {
        return text.to_owned();
    }
    let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
    let plain = scheme.bytes().all(|c| c.is_ascii_alphanumeric());
    if plain && !scheme.is_empty() { format!("{scheme}://...") } else { "...".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_url_is_shown_without_secrets() {
        for (text, shown) in [
            ("https://ho st/key.pem", "https://ho st/key.pem"),
            ("https://user:canary@ho st/key.pem", "https://..."),
            ("https://user:c@n/a?r#y@ho st/key.pem", "https://..."),
            ("https://ho st/key.pem?token=canary", "https://..."),
            ("user:canary@host://x", "..."),
            ("user:canary@host", "..."),
        ] {
            assert_eq!(harmless(text), shown, "{text}");
        }
    }
}
