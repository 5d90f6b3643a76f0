//! The log, asked: for the entry of a signature beside which none lies, and for an entry by its
//! name.
//!
//! The body of the entry is rebuilt from what is here, so the log can only confirm it: promise and
//! proof are checked by the trusted root as if they had lain beside the file. An entry that held is
//! kept, and checked again whenever it is used.

use super::{FileRequest, certify};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use crate::session::Connections;
pub use crate::sigstore::EntryName;
use crate::sigstore::Rekor;
use crate::store::Folder;
use crate::trust::{Message, Rejected, SignedFile, VerifiedEntry, signed_digest};
use crate::wire::{Detached, FileSignature, LogAnswer, hashedrekord, leaf_hash};

/// The log, for one file.
pub(super) struct Log<'a> {
    connections: &'a Connections,
    request: &'a FileRequest,
}

impl<'a> Log<'a> {
    pub(super) fn new(connections: &'a Connections, request: &'a FileRequest) -> Self {
        Self { connections, request }
    }

    /// Checks a signature by a certificate with the log's entry: the one that is kept here, or else
    /// the one that the log has.
    pub(super) async fn certify(
        &self,
        detached: &Detached,
        message: &Message,
    ) -> Result<SignedFile, Failure> {
        let Some(leaf) = detached.certificates.first() else {
            return self.judge(detached.clone(), message).await;
        };
        // What the signature is over is what a log writes down of the file.
        let body = hashedrekord(&signed_digest(detached, message)?, &detached.signature, leaf);
        let name = leaf_hash(&body);
        let folder = kept(self.connections);
        if let Some(answer) = folder.as_ref().and_then(|folder| recall(folder, &name)) {
            let with_entry = Detached { entry: Some(answer.logged), ..detached.clone() };
            if let Ok(signed) = self.judge(with_entry, message).await {
                return Ok(signed);
            }
        }
        if self.connections.is_offline() {
            return self.judge(detached.clone(), message).await;
        }
        let url = self
            .request
            .log
            .as_deref()
            .or(self.connections.environment().text("COSIGN_REKOR_URL")?);
        let rekor = Rekor::new(self.connections.client(), url);
        let answer = rekor.find(&body).await.map_err(|failure| {
            failure.within("the log could not be asked for the time of signing")
        })?;
        let answer = answer.ok_or_else(|| {
            Failure::new(Class::Tlog, format!("the log `{}` has no entry of this signature", rekor.url()))
                .hint("it was signed without a log, or logged elsewhere: see --rekor-url, or ask the publisher for a bundle")
        })?;
        let signed = self
            .judge(Detached { entry: Some(answer.logged.clone()), ..detached.clone() }, message)
            .await?;
        if let Some(folder) = folder {
            keep(&folder, &name, &answer);
        }
        Ok(signed)
    }

    async fn judge(&self, detached: Detached, message: &Message) -> Result<SignedFile, Failure> {
        let signature = FileSignature::Detached(detached);
        certify(self.connections, |root, sct| root.certify_file(&signature, message, sct)).await
    }
}

/// Returns where entries are kept. Where that is nowhere, the log is asked again.
fn kept(connections: &Connections) -> Option<Folder> {
    Folder::first_of(&connections.locations().state).ok()?.within("log").ok()
}

fn recall(folder: &Folder, name: &Digest) -> Option<LogAnswer> {
    LogAnswer::parse_all(&folder.read(&name.hex()).ok()??).ok()?.into_iter().next()
}

/// Keeps an entry. What cannot be kept is asked for again, so a failure is nothing to speak of.
fn keep(folder: &Folder, name: &Digest, answer: &LogAnswer) {
    let names = folder.names(limits::LOG_KEPT).unwrap_or_default();
    if let (true, Some(any)) = (names.len() >= limits::LOG_KEPT, names.first()) {
        let _ = folder.remove(any);
    }
    let _ = folder.replace(&name.hex(), &answer.to_bytes());
}

/// Fetches an entry of a log and checks that the log promised it and has it. Returns it as
/// `rekor-cli get` prints it.
///
/// # Errors
/// `not-found`: there is none. `tlog`: it does not hold, or the log is none that the trusted root
/// knows. `net`: no answer.
pub async fn print_entry(
    connections: &Connections,
    name: &EntryName,
    url: Option<&str>,
) -> Result<VerifiedEntry, Failure> {
    let url = url.or(connections.environment().text("COSIGN_REKOR_URL")?);
    let answer = Rekor::new(connections.client(), url).get(name).await?;
    let check = async || {
        let roots = connections.roots().load([None]).await;
        roots.get(None).map_err(Rejected::from)?.check_answer(&answer)
    };
    connections.roots().judge(check).await
}
