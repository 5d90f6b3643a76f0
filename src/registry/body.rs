//! Bodies, read piece by piece under a cap in bytes and in time.

use super::answer::Reply;
use super::transport::shown;
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::limits;
use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use std::time::{Duration, Instant};

/// How long a body may be, and what it is when it is longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cap {
    bytes: u64,
    over: Class,
}

impl Cap {
    /// The most that is read.
    pub(super) const fn of(bytes: u64) -> Self {
        Self { bytes, over: Class::Limit }
    }

    /// The length that was announced: a longer body is a wrong one, not a large one.
    pub(super) const fn announced(bytes: u64) -> Self {
        Self { bytes, over: Class::Digest }
    }

    fn exceeded(self, response: &Response) -> Failure {
        Failure::new(
            self.over,
            format!("`{}` answered with more than {} bytes", shown(response.url()), self.bytes),
        )
    }
}

/// What is not a success is an error document, whatever was asked for.
pub(super) const ERROR: Cap = Cap::of(limits::ERROR_BODY_BYTES);

/// Reads a whole answer, and stops as soon as it is known to be too long.
pub(super) async fn reply(
    mut response: Response,
    cap: Cap,
    deadline: Instant,
    idle: Duration,
) -> Result<Reply, Trouble> {
    check_encoding(&response)?;
    if response.content_length().is_some_and(|length| length > cap.bytes) {
        return Err(cap.exceeded(&response).into());
    }
    let mut body = Vec::new();
    let mut left = cap.bytes;
    while let Some(chunk) = chunk(&mut response, deadline, idle).await? {
        left = left.checked_sub(length(&chunk)).ok_or_else(|| cap.exceeded(&response))?;
        body.extend_from_slice(&chunk);
    }
    body.shrink_to_fit();
    Ok(Reply {
        status: response.status(),
        headers: response.headers().clone(),
        body,
        elsewhere: None,
        asker: None,
    })
}

/// Reads what is left of an answer that says nothing, so that its connection can be used again;
/// gives up where that is not cheap.
pub(super) async fn drain(mut response: Response, deadline: Instant, idle: Duration) {
    let mut left = limits::ERROR_BODY_BYTES;
    while let Ok(Some(chunk)) = chunk(&mut response, deadline, idle).await {
        match left.checked_sub(length(&chunk)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Waits for the next piece, until `deadline` and no longer than `idle`.
pub(super) async fn chunk(
    response: &mut Response,
    deadline: Instant,
    idle: Duration,
) -> Result<Option<Bytes>, Trouble> {
    let limit = deadline.min(Instant::now() + idle);
    match tokio::time::timeout_at(limit.into(), response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(Trouble::from_http(&shown(response.url()), error, false)),
        Err(_) if limit < deadline => Err(Trouble::silent(&shown(response.url()), idle)),
        Err(_) => Err(Trouble::late(&shown(response.url()))),
    }
}

/// Refuses a body that is compressed on the way: digests are of what is stored, and a bomb needs a
/// decoder (N17).
pub(super) fn check_encoding(response: &Response) -> Result<(), Failure> {
    match response.headers().get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Failure::new(
                Class::Malformed,
                format!(
                    "`{}` sent `Content-Encoding`, which was not asked for",
                    shown(response.url())
                ),
            ))
        }
        _ => Ok(()),
    }
}

pub(super) fn length(chunk: &[u8]) -> u64 {
    u64::try_from(chunk.len()).unwrap_or(u64::MAX)
}
