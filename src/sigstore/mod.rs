//! What Sigstore's services give: certificates, timestamps, entries of logs, and by TUF the trusted root
//! and the signing configuration. No request is made to verify a signature, but for a newer root where
//! one is missing an authority or a log, and for the entry of a file's signature that is beside none.

mod cache;
mod first_root;
mod fulcio;
mod mirror;
mod rekor;
mod rekor2;
mod roots;
mod signing_config;
mod tsa;

pub use fulcio::{Issued, issue};
pub use mirror::TufMirror;
pub use rekor::{EntryName, Rekor};
pub use rekor2::{Added, add};
pub use roots::{EMBEDDED, ProcessRoots, Refreshed, RootSource, Settings};
pub use signing_config::{LogService, LogVersion, Services};
pub use tsa::{Stamped, stamp};

use crate::class::{Class, Failure, printable};
use crate::limits;
use crate::wire::json;

/// How much of what a service says about a refusal is shown, in characters.
const SAID: usize = 300;

/// Waits before a new try after the one of this number: longer each time.
pub async fn rest(number: u32) {
    tokio::time::sleep(limits::BACKOFF * (1 << number.min(4))).await;
}

/// The failure for a request that a service refused.
fn refused(what: &str, status: u16, body: &[u8]) -> Failure {
    let failure = Failure::new(Class::Net, format!("{what} answered {}", said(status, body)));
    if (300..400).contains(&status) {
        failure.detail("that is a redirect, which is never followed: name the address itself")
    } else {
        failure
    }
}

/// Returns what a service said, for people: the status, and its own message where it is one.
fn said(status: u16, body: &[u8]) -> String {
    let message = json::parse(body).ok();
    let message = message.as_ref().and_then(|message| message.get("message")?.as_str());
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => {
            let short: String = message.chars().take(SAID).collect();
            format!("{status}: {}", printable(&short))
        }
        None => status.to_string(),
    }
}
