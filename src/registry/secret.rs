//! One request with a secret in its header, to a service that is not a registry: an endpoint that
//! hands out tokens. https, or plain http on this machine; no redirects, so that the secret reaches
//! one host.
//!
//! Only what says "later" is asked again, and only where the caller says that this changes nothing
//! there.

use super::body::{self, Cap};
use super::service;
use super::session::ClientCore;
use super::transport::{Peer, shown};
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::name::Registry;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Method, Request, Url};
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// What is asked, and the secret that goes along.
#[derive(Clone)]
pub struct SecretCall<'a> {
    /// Whom to ask.
    pub url: &'a str,
    /// What is added to the query of the URL.
    pub query: &'a [(&'a str, &'a str)],
    /// The whole value of the `Authorization` header; an empty one is not sent.
    pub authorization: Zeroizing<String>,
    /// A JSON document to send; without one it is a plain request.
    pub document: Option<&'a [u8]>,
    /// The most that is read of a success.
    pub cap: u64,
}

impl fmt::Debug for SecretCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretCall(..)")
    }
}

/// The answer, whose body may be a secret too.
#[derive(Clone)]
pub struct SecretAnswer {
    /// The status.
    pub status: u16,
    /// The `Date` header, as it came.
    pub date: Option<String>,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for SecretAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretAnswer({})", self.status)
    }
}

impl ClientCore {
    pub(super) async fn secretly(&self, call: &SecretCall<'_>) -> Result<SecretAnswer, Failure> {
        let (url, named) = place(call)?;
        let mut authorization = HeaderValue::from_str(&call.authorization).map_err(|_| {
            Failure::new(Class::Auth, "the secret for a token service cannot be sent in a header")
        })?;
        authorization.set_sensitive(true);
        self.may_ask(&url)?;
        self.persist(true, async || {
            let method = if call.document.is_some() { Method::POST } else { Method::GET };
            let mut request = Request::new(method, url.clone());
            let headers = request.headers_mut();
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            if !authorization.is_empty() {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            if let Some(document) = call.document {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *request.body_mut() = Some(document.to_vec().into());
            }
            let deadline = self.clock.deadline();
            let response = self.transport.send(request, Peer::Own(&named), deadline).await?;
            let status = response.status();
            if status.is_redirection() {
                return Err(Trouble::Final(
                    Failure::new(
                        Class::Net,
                        format!("`{}` answered {}, a redirect", shown(&url), status.as_u16()),
                    )
                    .hint("redirects are not followed with a secret: name the address that it leads to"),
                ));
            }
            let cap = if status.is_success() { Cap::of(call.cap) } else { body::ERROR };
            let mut reply = body::reply(response, cap, deadline, self.config.times.idle).await?;
            let body = Zeroizing::new(std::mem::take(&mut reply.body));
            if status.as_u16() == 429 || status.is_server_error() {
                return Err(Trouble::Passing {
                    failure: Failure::new(
                        Class::Net,
                        format!("`{}` answered {}", shown(&url), status.as_u16()),
                    ),
                    after: reply.retry_after().map(Duration::from_secs),
                    not_http: false,
                });
            }
            Ok(SecretAnswer {
                status: status.as_u16(),
                date: reply.header(DATE).map(ToOwned::to_owned),
                body,
            })
        })
        .await
    }
}

/// Returns the URL that is asked, and its host.
fn place(call: &SecretCall<'_>) -> Result<(Url, Registry), Failure> {
    let mut url = Url::parse(call.url).map_err(|error| {
        Failure::new(Class::Usage, format!("the address of a token service is not a URL: {error}"))
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::new(
            Class::Usage,
            format!("the address of `{}` holds a user", shown(&url)),
        ));
    }
    if !call.query.is_empty() {
        url.query_pairs_mut().extend_pairs(call.query);
    }
    let named = service::host(&url, "a secret is sent in plain http to this machine only")?;
    Ok((url, named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_secret_nor_answer_is_shown() {
        let call = SecretCall {
            url: "https://h/canary",
            query: &[],
            authorization: Zeroizing::new("canary".to_owned()),
            document: Some(b"canary"),
            cap: 1,
        };
        let answer =
            SecretAnswer { status: 200, date: None, body: Zeroizing::new(b"canary".to_vec()) };
        assert!(!format!("{call:?}{answer:?}").contains("canary"));
    }

    #[test]
    fn a_secret_goes_to_https_or_this_machine_only() {
        let ask = |url| {
            place(&SecretCall {
                url,
                query: &[("audience", "a b")],
                authorization: Zeroizing::default(),
                document: None,
                cap: 1,
            })
            .map(|(url, _)| url.to_string())
            .map_err(|failure| failure.class())
        };
        assert_eq!(ask("https://h/x?y=1").unwrap(), "https://h/x?y=1&audience=a+b");
        assert_eq!(ask("http://127.0.0.1:1/x").unwrap(), "http://127.0.0.1:1/x?audience=a+b");
        for wrong in
            ["http://h/x", "http://127.0.0.1.example/x", "ftp://h/x", "x", "https://u:p@h/"]
        {
            assert_eq!(ask(wrong), Err(Class::Usage), "{wrong}");
        }
    }
}
