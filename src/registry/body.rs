//! Bodies, read piece by piece under a cap in bytes and in time.

use super::answer::Reply;
use super::transport::shown;
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use bytes::Bytes;
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use std::time::{Duration, Instant};

/// Reads a whole answer. A body of more than `cap` bytes is `limit`, as soon as that is known.
pub(super) async fn reply(mut response: Response, cap: u64, deadline: Instant, idle: Duration) -> Result<Reply, Trouble> {
    check_encoding(&response)?;
    if response.content_length().is_some_and(|length| length > cap) {
        return Err(too_large(&response, cap).into());
    }
    let mut body = Vec::new();
    let mut left = cap;
    while let Some(chunk) = chunk(&mut response, deadline, idle).await? {
        left = left.checked_sub(length(&chunk)).ok_or_else(|| too_large(&response, cap))?;
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status: response.status(), headers: response.headers().clone(), body })
}

/// Reads what is left of an answer that says nothing, so that its connection can be used again; gives up where that is not cheap.
pub(super) async fn drain(mut response: Response, cap: u64, deadline: Instant, idle: Duration) {
    let mut left = cap;
    while let Ok(Some(chunk)) = chunk(&mut response, deadline, idle).await {
        match left.checked_sub(length(&chunk)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Waits for the next piece, until `deadline` and no longer than `idle`.
pub(super) async fn chunk(response: &mut Response, deadline: Instant, idle: Duration) -> Result<Option<Bytes>, Trouble> {
    let limit = deadline.min(Instant::now() + idle);
    match tokio::time::timeout_at(limit.into(), response.chunk()).await {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(Trouble::from_http(&shown(response.url()), error)),
        Err(_) if limit < deadline => Err(Trouble::silent(&shown(response.url()), idle)),
        Err(_) => Err(Trouble::late(&shown(response.url()))),
    }
}

/// Refuses a body that is compressed on the way: digests are of what is stored, and a bomb needs a decoder (N17).
pub(super) fn check_encoding(response: &Response) -> Result<(), Failure> {
    match response.headers().get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            Err(Failure::new(Class::Malformed, format!("`{}` sent `Content-Encoding`, which was not asked for", shown(response.url()))))
        }
        _ => Ok(()),
    }
}

pub(super) fn length(chunk: &[u8]) -> u64 {
    u64::try_from(chunk.len()).unwrap_or(u64::MAX)
}

fn too_large(response: &Response, cap: u64) -> Failure {
    Failure::new(Class::Limit, format!("`{}` answered with more than {cap} bytes", shown(response.url())))
}
