//! A layer, handed on piece by piece while it arrives; its digest and length are judged at the end.
//!
//! Not under the deadline: it may take as long as it makes progress. A
//! connection that breaks on the way is taken up again where it broke, where the registry allows
//! that. Never holds more than one piece.

use super::body::{self, length};
use super::pull::check_blob;
use super::session::{ClientCore, RegistryCall, pass_on};
use super::trouble::Trouble;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository};
use bytes::Bytes;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The bytes of a blob. They are only then what was asked for when [`next`](Self::next) has
/// returned `None`.
#[derive(Debug)]
pub struct BlobStream {
    session: Arc<ClientCore>,
    repository: Repository,
    digest: Digest,
    size: u64,
    response: Response,
    hash: Sha256,
    seen: u64,
    breaks: u32,
    window: Window,
    _pause: Pause,
}

/// Holds the deadline still for as long as it lives.
#[derive(Debug)]
pub struct Pause(Arc<ClientCore>);

/// What came since the last check of progress, and how long it was waited for.
#[derive(Debug)]
struct Window {
    waited: Duration,
    bytes: u64,
}

impl Pause {
    pub(super) fn new(session: Arc<ClientCore>) -> Self {
        session.clock.stream_begins();
        Self(session)
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.clock.stream_ends();
    }
}

impl BlobStream {
    pub(super) async fn open(
        session: Arc<ClientCore>,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        seen: u64,
        hash: Sha256,
    ) -> Result<Self, Failure> {
        let pause = Pause::new(Arc::clone(&session));
        let from = (seen > 0).then_some(seen);
        let response = request(&session, repository, digest, from).await?;
        let left = size.saturating_sub(seen);
        if response.content_length().is_some_and(|found| found != left) {
            let found = response.content_length().unwrap_or(0).saturating_add(seen);
            return Err(Failure::new(
                Class::Digest,
                format!("`{repository}@{digest}` has {found} bytes; expected {size}"),
            ));
        }
        Ok(Self {
            session,
            repository: repository.clone(),
            digest: *digest,
            size,
            response,
            hash,
            seen,
            breaks: 0,
            window: Window { waited: Duration::ZERO, bytes: 0 },
            _pause: pause,
        })
    }

    /// Returns the next piece, or `None` when the blob is complete and is what was asked for.
    ///
    /// # Errors
    /// `digest` for a wrong length or digest, `net` for a connection that breaks or makes no
    /// progress.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let failure = match self.piece().await {
                Ok(Some(piece)) => {
                    self.seen = self.seen.saturating_add(length(&piece));
                    if self.seen > self.size {
                        return Err(self.wrong(format!("has more than {} bytes", self.size)));
                    }
                    self.hash.update(&piece);
                    self.session.streamed.fetch_add(length(&piece), Ordering::Relaxed);
                    return Ok(Some(piece));
                }
                Ok(None) => return self.finish().map(|()| None),
                Err(Trouble::Final(failure) | Trouble::Tls { failure, .. }) => return Err(failure),
                Err(Trouble::Passing { failure, .. }) => failure,
            };
            self.breaks += 1;
            if self.breaks >= limits::TRIES || self.seen == self.size {
                return Err(failure.detail(format!("after {} of {} bytes", self.seen, self.size)));
            }
            self.response =
                request(&self.session, &self.repository, &self.digest, Some(self.seen)).await?;
        }
    }

    /// Waits for the next piece. Only time spent waiting counts: a slow reader is no fault of the
    /// registry.
    async fn piece(&mut self) -> Result<Option<Bytes>, Trouble> {
        let span = self.session.config.times.progress;
        loop {
            let start = Instant::now();
            let end = start + span.saturating_sub(self.window.waited);
            let came = body::chunk(&mut self.response, end, span).await;
            let waited = start.elapsed();
            self.window.waited += waited;
            let bytes =
                came.as_ref().ok().and_then(Option::as_ref).map_or(0, |piece| length(piece));
            self.check_average(waited, bytes)?;
            let is_over = self.window.waited >= span;
            match came {
                Ok(Some(piece)) => {
                    self.window.bytes = self.window.bytes.saturating_add(length(&piece));
                    if is_over {
                        self.turn_window()?;
                    }
                    return Ok(Some(piece));
                }
                Ok(None) => return Ok(None),
                Err(_) if is_over => self.turn_window()?,
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Refuses layers that come too slowly, all of the image together.
    fn check_average(&self, waited: Duration, bytes: u64) -> Result<(), Failure> {
        let grace = self.session.config.times.grace;
        let Some((waited, came)) = self.session.clock.drips(waited, bytes, grace) else {
            return Ok(());
        };
        let message = format!(
            "`{}@{}`: the layers come too slowly, {came} bytes in {} s; expected {} a second",
            self.repository,
            self.digest,
            waited.as_secs(),
            limits::AVERAGE_BYTES
        );
        Err(Failure::new(Class::Net, message))
    }

    /// Begins a further window, where the last one brought enough.
    fn turn_window(&mut self) -> Result<(), Failure> {
        let bytes = std::mem::take(&mut self.window.bytes);
        let waited = std::mem::take(&mut self.window.waited);
        if bytes >= limits::PROGRESS_BYTES {
            return Ok(());
        }
        let message = format!(
            "`{}@{}`: only {bytes} bytes in {:.1} s",
            self.repository,
            self.digest,
            waited.as_secs_f32()
        );
        Err(Failure::new(Class::Net, message))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.seen != self.size {
            return Err(self.wrong(format!("has {} bytes; expected {}", self.seen, self.size)));
        }
        let found = Digest::from_bytes(std::mem::take(&mut self.hash).finalize().into());
        if found == self.digest {
            Ok(())
        } else {
            Err(self.wrong(format!("has the digest `{found}`")))
        }
    }

    fn wrong(&self, what: String) -> Failure {
        Failure::new(Class::Digest, format!("`{}@{}` {what}", self.repository, self.digest))
    }
}

async fn request(
    session: &ClientCore,
    repository: &Repository,
    digest: &Digest,
    from: Option<u64>,
) -> Result<Response, Failure> {
    let mut call = RegistryCall::get(repository, format!("blobs/{digest}"), "*/*");
    call.from_byte = from;
    let expected = if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    session
        .persist(true, async || {
            let response = session.open(&call).await?;
            if response.status() == expected {
                body::check_encoding(&response)?;
                check_range(&response, from)?;
                return Ok(response);
            }
            if response.status().is_success() {
                let status = response.status().as_u16();
                return Err(Failure::new(
                    Class::Net,
                    format!("`{repository}@{digest}`: broke off, and {status} does not go on"),
                )
                .into());
            }
            let deadline = session.clock.deadline();
            let reply =
                body::reply(response, body::ERROR, deadline, session.config.times.idle).await?;
            let reply = pass_on(reply, repository)?;
            check_blob(&reply, repository, digest)?;
            Err(Failure::new(
                Class::Registry,
                format!("`{repository}@{digest}`: answered {}", reply.status.as_u16()),
            )
            .into())
        })
        .await
}

fn check_range(response: &Response, from: Option<u64>) -> Result<(), Failure> {
    let Some(from) = from else { return Ok(()) };
    let range =
        response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if range.starts_with(&format!("bytes {from}-")) {
        Ok(())
    } else {
        Err(Failure::new(
            Class::Registry,
            format!("asked for a blob from byte {from}, got `{range}`"),
        ))
    }
}
