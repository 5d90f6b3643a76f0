//! A timestamp authority (RFC 3161 over HTTP, section 3.4). What it answers is checked by nobody here:
//! `trust` does that.

use crate::class::{Class, Failure};
use crate::limits;
use crate::registry::{Client, ServiceCall};

/// What came of asking for a timestamp.
#[derive(Clone, Debug)]
pub enum Stamped {
    /// An answer, unchecked.
    Answer(Vec<u8>),
    /// None, or one that says "later": where someone else says the time, it is done without.
    Silent(Failure),
}

/// Asks the authority behind `url` for a timestamp.
///
/// # Errors
/// `net`: it refused the request, which asking later does not change. `limit`: a longer answer than
/// any timestamp.
pub async fn stamp(client: &Client, url: &str, request: &[u8]) -> Result<Stamped, Failure> {
    let call = ServiceCall {
        url,
        document: Some(request),
        content_type: "application/timestamp-query",
        accept: "application/timestamp-reply",
        cap: limits::SERVICE_BYTES,
        again: true,
    };
    match client.call(&call).await {
        // Older ones answer 201.
        Ok(answer) if matches!(answer.status, 200 | 201) => Ok(Stamped::Answer(answer.body)),
        Ok(answer) => Err(Failure::new(
            Class::Net,
            format!("the timestamp authority `{url}` answered {}", answer.status),
        )
        .hint("check --timestamp-server-url, COSIGN_TIMESTAMP_SERVER_URL or the signing configuration; redirects are not followed")),
        Err(failure) if failure.class() == Class::Net => Ok(Stamped::Silent(
            failure.within("the timestamp authority"),
        )),
        Err(failure) => Err(failure.within("the timestamp authority")),
    }
}
