//! One question to a service that is no registry: a transparency log. https, or plain http on this
//! machine; no credentials, no redirects. A question changes nothing there, so it is asked again
//! where that may help.

use super::body::{self, Cap};
use super::session::Session;
use super::transport::{Peer, shown};
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Registry;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Request, Url};
use std::time::Duration;

impl Session {
    /// Asks, with a JSON document where there is one. Returns the status and the body of the
    /// answer.
    pub(super) async fn question(
        &self,
        url: &str,
        document: Option<&[u8]>,
        cap: u64,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let url = Url::parse(url).map_err(|error| {
            Failure::new(Class::Usage, format!("the address of a service is no URL: {error}"))
        })?;
        let host = url.host_str().unwrap_or_default();
        let named: Registry =
            url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")).parse()?;
        match url.scheme() {
            "https" => {}
            "http" if named.is_loopback() => {}
            _ => {
                return Err(Failure::new(Class::Usage, format!("`{}` is not https", shown(&url)))
                    .hint("plain http is spoken to this machine only, for whoever is on the way could change the answer"));
            }
        }
        self.persist(true, async || {
            let method = if document.is_some() { Method::POST } else { Method::GET };
            let mut request = Request::new(method, url.clone());
            request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
            if let Some(document) = document {
                request
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *request.body_mut() = Some(document.to_vec().into());
            }
            let response =
                self.transport.send(request, Peer::Own(&named), self.clock.deadline()).await?;
            let cap = if response.status().is_success() {
                Cap::of(cap)
            } else {
                Cap::of(limits::ERROR_BODY_BYTES)
            };
            let reply =
                body::reply(response, cap, self.clock.deadline(), self.config.times.idle).await?;
            let status = reply.status.as_u16();
            if matches!(status, 429 | 500 | 502 | 503 | 504) {
                let failure =
                    Failure::new(Class::Net, format!("`{}` answered {status}", shown(&url)));
                let after = reply
                    .header(RETRY_AFTER)
                    .and_then(|value| value.trim().parse().ok())
                    .map(Duration::from_secs);
                return Err(Trouble::Passing { failure, after, not_http: false });
            }
            Ok((status, reply.body))
        })
        .await
    }
}
