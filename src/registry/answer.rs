//! What an answer of a registry means, status by status.
//!
//! "Not there" is said only by an answer that says so: a 404 whose body names
//! a missing thing, says nothing, or says something unknown, and whose message does not say the
//! opposite; where the registry sent us to another host, only one with a code. Denials, rate
//! limits, faults and web pages decide nothing. The list of codes is that of containers/image, from
//! answers recorded at docker-registry, Harbor, Quay, registry.redhat.io and others.

use super::Role;
use super::auth::Asker;
use crate::class::{Class, Failure};
use crate::name::Repository;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// A whole answer, its body under a cap.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Who answered, where the registry sent us to another host.
    pub(super) elsewhere: Option<String>,
    /// Who asked, where that one was refused.
    pub(super) asker: Option<Asker>,
}

/// How much of a registry's own sentence is shown, in characters.
const MAX_SENTENCE: usize = 300;
/// A word that is longer may be a token that was sent along.
const MAX_WORD: usize = 80;

/// What a registry said about something that it may or may not have.
#[derive(Clone, Debug, PartialEq)]
pub enum Presence<T> {
    /// It has it.
    There(T),
    /// It said so that it has it not.
    Absent(Absence),
}

/// How a registry said that something is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// The status.
    pub status: u16,
    /// The error code in the body, where there is one.
    pub code: Option<String>,
}

impl Reply {
    pub(super) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns for how many seconds it asks to be left alone (RFC 9110 section 10.2.3).
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.header(RETRY_AFTER)?.trim().parse().ok()
    }

    /// Returns whether the answer is a web page, as proxies and login portals send.
    pub(super) fn is_html(&self) -> bool {
        let named = self.header(CONTENT_TYPE).is_some_and(|value| {
            let value = value.trim_start().to_ascii_lowercase();
            value.starts_with("text/html") || value.starts_with("application/xhtml")
        });
        let start: Vec<u8> =
            self.body.trim_ascii_start().iter().take(14).map(u8::to_ascii_lowercase).collect();
        named || start.starts_with(b"<!doctype html") || start.starts_with(b"<html")
    }

    /// Returns the first error code in the body, made of at most 64 letters, digits and
    /// underscores.
    pub(super) fn code(&self) -> Option<String> {
        let error = self.error()?;
        let code = error.get("code")?;
        let code = code.as_str().map_or_else(|| code.to_string(), ToOwned::to_owned);
        let plain =
            code.len() <= 64 && code.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
        (plain && !code.is_empty()).then_some(code)
    }

    /// Returns the registry's own sentence, cut, and without words that could be a secret.
    pub(super) fn sentence(&self) -> Option<String> {
        let error = self.error()?;
        let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::trim);
        let message = text("message").filter(|text| !text.is_empty()).or_else(|| text("detail"))?;
        let words = message.split_whitespace().map(|word| {
            let digest = word.contains("sha256:");
            if word.chars().count() > MAX_WORD && !digest { "***" } else { word }
        });
        let sentence = words.collect::<Vec<_>>().join(" ").replace('`', "'");
        let cut: String = sentence.chars().take(MAX_SENTENCE).collect();
        let end = if cut.len() < sentence.len() { "..." } else { "" };
        (!cut.is_empty()).then(|| cut + end)
    }

    /// Returns whether the body says that there is something, in a form that was not asked for.
    /// Google's registries say so under the code of absence (`MANIFEST_UNKNOWN`), in their message
    /// alone; this program asks for every form that it reads.
    fn has_another_form(&self) -> bool {
        let error = self.error();
        let message = error
            .as_ref()
            .and_then(|error| error.get("message"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        message.contains("has media type") && message.contains("client accepts")
    }

    fn error(&self) -> Option<Value> {
        let mut document: Value = serde_json::from_slice(&self.body).ok()?;
        document.get_mut("errors")?.as_array_mut()?.first_mut().map(Value::take)
    }
}

/// Reads a 404 as absence, where it says so.
pub(super) fn absence(
    reply: &Reply,
    repository: &Repository,
    role: Role,
) -> Result<Absence, Failure> {
    if reply.is_html() {
        return Err(decides_nothing(reply, repository)
            .detail("the answer is a web page: is this a registry?"));
    }
    // A store that has lost an object answers 404 as well. One that speaks for the registry
    // (registry.k8s.io has such) says a code.
    if let (Some(host), None) = (&reply.elsewhere, reply.code()) {
        let said = said(reply);
        return Err(Failure::new(
            Class::Registry,
            format!(
                "`{repository}`: `{host}`, where the registry sent us, answered {said} without a registry's error code, so it is unknown whether there are signatures"
            ),
        ));
    }
    if reply.has_another_form() {
        return Err(decides_nothing(reply, repository)
            .detail("its message says that there is a manifest, of a type that is not read here"));
    }
    let code = reply.code();
    match code.as_deref().map(str::to_ascii_uppercase).as_deref() {
        Some("NAME_UNKNOWN") if role == Role::Signatures => Err(Failure::new(
            Class::Registry,
            format!("`{repository}`, where signatures are to be looked for, does not exist (`NAME_UNKNOWN`)"),
        )
        .hint("is it mistyped? see COSIGN_REPOSITORY, or `signatures_from` in the policy")),
        Some("UNAUTHORIZED" | "DENIED") => Err(refused(reply, repository)),
        Some("TOOMANYREQUESTS" | "UNSUPPORTED" | "NAME_INVALID" | "DIGEST_INVALID" | "MANIFEST_INVALID" | "UNAVAILABLE") => {
            Err(decides_nothing(reply, repository))
        }
        _ => Ok(Absence { status: reply.status.as_u16(), code }),
    }
}

/// Returns the failure that an answer which is neither a success nor "not there" amounts to.
pub(super) fn refusal(reply: &Reply, repository: &Repository) -> Failure {
    match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => refused(reply, repository),
        _ => decides_nothing(reply, repository),
    }
}

fn refused(reply: &Reply, repository: &Repository) -> Failure {
    let whom = reply.asker.as_ref().and_then(|asker| asker.whom.as_ref());
    let whom = whom.map_or_else(String::new, |whom| format!(" to {whom}"));
    let failure = Failure::new(
        Class::Auth,
        format!("`{repository}`: the registry refused access{whom} ({})", said(reply)),
    );
    let failure = with_sentence(failure, reply);
    match &reply.asker {
        Some(asker) => failure.hint(&asker.way_out),
        None => failure,
    }
}

fn decides_nothing(reply: &Reply, repository: &Repository) -> Failure {
    let failure = Failure::new(
        Class::Registry,
        format!(
            "`{repository}`: the registry answered {}, so it is unknown whether there are signatures",
            said(reply)
        ),
    );
    let failure = with_sentence(failure, reply);
    match reply.status {
        StatusCode::TOO_MANY_REQUESTS => {
            let wait = reply
                .retry_after()
                .map_or_else(|| "wait".to_owned(), |seconds| format!("wait {seconds} s"));
            failure.hint(format!(
                "the registry limits requests: {wait} and run it again; logging in often raises the limit"
            ))
        }
        StatusCode::BAD_REQUEST if wants_certificate(reply) => failure
            .detail("it wants a certificate of its clients, and luet-cosign has none to show")
            .hint("have this machine let in without one: by an address, or by user and password"),
        _ => failure,
    }
}

/// nginx takes the connection, and says so afterwards.
fn wants_certificate(reply: &Reply) -> bool {
    reply.is_html()
        && std::str::from_utf8(&reply.body).is_ok_and(|text| text.contains("SSL certificate"))
}

/// Adds what the registry says itself.
fn with_sentence(failure: Failure, reply: &Reply) -> Failure {
    match reply.sentence() {
        Some(sentence) => failure.detail(format!("the registry says: `{sentence}`")),
        None => failure,
    }
}

fn said(reply: &Reply) -> String {
    let status = reply.status.as_u16();
    reply.code().map_or_else(|| status.to_string(), |code| format!("{status} `{code}`"))
}
