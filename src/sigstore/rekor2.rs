//! A log with the API of Rekor v2: entries are added, and nothing is asked of it. What it answers is
//! checked by nobody here: `trust` does that.
//!
//! Source: rekor-tiles `rekor_service.proto`. An answer that was lost is lost: the log gives an entry
//! once, so the same is never sent twice.

use super::refused;
use crate::class::{Class, Failure};
use crate::limits;
use crate::registry::{Client, ServiceCall};
use crate::wire::read_tlog_entry;
use serde_json::Value;

/// What came of adding an entry.
#[derive(Clone, Debug)]
pub enum Added {
    /// The entry, as it is in a bundle; unchecked.
    Entry(Value),
    /// It may be in the log or not, and nobody gets it any more: another signature has to be made.
    Lost(Failure),
}

/// Adds an entry to the log behind `url`, once.
///
/// # Errors
/// `net`: the log refused it. `tlog`: an answer that cannot be read.
pub async fn add(client: &Client, url: &str, document: &[u8]) -> Result<Added, Failure> {
    let what = format!("the log `{url}`");
    let at = format!("{}/api/v2/log/entries", url.trim_end_matches('/'));
    let question = ServiceCall::question(&at, Some(document), limits::SERVICE_BYTES);
    match client.call(&ServiceCall { again: false, ..question }).await {
        Ok(answer) => match answer.status {
            200 | 201 => Ok(Added::Entry(read_tlog_entry(&answer.body)?)),
            409 => Ok(Added::Lost(Failure::new(
                Class::Tlog,
                format!("{what} already has this entry, but does not return it"),
            )
            .hint("an RSA key makes the same signature each time: sign something else with it, as with `-a run=2`, or into a log of Rekor v1"))),
            status => Err(refused(&what, status, &answer.body)
                .hint("check the signing configuration, then run it again")),
        },
        Err(failure) if failure.class() == Class::Net => Ok(Added::Lost(failure.within(what))),
        Err(failure) => Err(failure.within(what)),
    }
}
