//! One request to a service that is not a registry: a transparency log, a timestamp authority. https, or
//! plain http on this machine; no credentials, no redirects.

use super::body::{self, Cap};
use super::session::ClientCore;
use super::transport::{Peer, shown};
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::name::Registry;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Request, Url};
use std::time::Duration;

/// What is asked of a service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCall<'a> {
    /// Whom to ask.
    pub url: &'a str,
    /// What is sent; without it, it is a plain request.
    pub document: Option<&'a [u8]>,
    /// What that is.
    pub content_type: &'static str,
    /// What is expected.
    pub accept: &'static str,
    /// The most that is read of a success.
    pub cap: u64,
    /// Whether the same may be asked again where the service says "later", or says nothing.
    pub again: bool,
}

impl<'a> ServiceCall<'a> {
    /// Returns a question in JSON that changes nothing there, so it may be asked again.
    #[must_use]
    pub fn question(url: &'a str, document: Option<&'a [u8]>, cap: u64) -> Self {
        const JSON: &str = "application/json";
        Self { url, document, content_type: JSON, accept: JSON, cap, again: true }
    }
}

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAnswer {
    /// The status.
    pub status: u16,
    /// Where it points to; it is never followed.
    pub location: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl ClientCore {
    /// Refuses to ask anyone who is not a registry where only those may be asked: the one switch for
    /// keys and signatures behind URLs, TUF repositories, logs and other services.
    pub(super) fn may_ask(&self, url: &Url) -> Result<(), Failure> {
        if !self.config.offline {
            return Ok(());
        }
        Err(Failure::new(
            Class::Net,
            format!(
                "`{}` is not contacted: offline, only registries are (--offline, LUET_COSIGN_OFFLINE or the policy)",
                shown(url)
            ),
        )
        .hint("download it on a machine with a network and name the file, or go online"))
    }

    /// Asks, and returns the answer whatever it is, but for one that says "later".
    pub(super) async fn call(&self, call: &ServiceCall<'_>) -> Result<ServiceAnswer, Failure> {
        let url = Url::parse(call.url).map_err(|error| {
            Failure::new(Class::Usage, format!("the address of a service is not a URL: {error}"))
        })?;
        let named = host(
            &url,
            "plain http is allowed on this machine only: anyone on the network path could change the answer",
        )?;
        self.may_ask(&url)?;
        self.persist(call.again, async || {
            let method = if call.document.is_some() { Method::POST } else { Method::GET };
            let mut request = Request::new(method, url.clone());
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static(call.accept));
            if let Some(document) = call.document {
                let content_type = HeaderValue::from_static(call.content_type);
                request.headers_mut().insert(CONTENT_TYPE, content_type);
                *request.body_mut() = Some(document.to_vec().into());
            }
            let response =
                self.transport.send(request, Peer::Own(&named), self.clock.deadline()).await?;
            let cap = if response.status().is_success() { Cap::of(call.cap) } else { body::ERROR };
            let reply =
                body::reply(response, cap, self.clock.deadline(), self.config.times.idle).await?;
            let status = reply.status.as_u16();
            if matches!(status, 429 | 500 | 502 | 503 | 504) {
                let failure =
                    Failure::new(Class::Net, format!("`{}` answered {status}", shown(&url)));
                let after = reply.retry_after().map(Duration::from_secs);
                return Err(Trouble::Passing { failure, after, not_http: false });
            }
            let location = reply.header(LOCATION).map(ToOwned::to_owned);
            Ok(ServiceAnswer { status, location, body: reply.body })
        })
        .await
    }
}

/// Returns the host of a service: of any that is spoken to by https, and of this machine's. `hint`
/// says why no other.
pub(super) fn host(url: &Url, hint: &str) -> Result<Registry, Failure> {
    let named = named(url)?;
    match url.scheme() {
        "https" => Ok(named),
        "http" if named.is_loopback() => Ok(named),
        _ => Err(Failure::new(Class::Usage, format!("`{}` is not https", shown(url))).hint(hint)),
    }
}

/// Returns the host of a URL, with its port where that is said.
pub(super) fn named(url: &Url) -> Result<Registry, Failure> {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")).parse()
}
