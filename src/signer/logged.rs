//! What proves when a signature was made, and makes it public: a timestamp, and the entry of a log.

use super::services::needed;
use super::{Signer, ToSign, digests_of};
use crate::class::{Class, Failure};
use crate::session::Connections;
use crate::sigstore::{self, Added, LogService, LogVersion, Rekor, Stamped};
use crate::trust::{MessageDigests, PrivateKey, Rejected, StampRequest, TrustedRoot};
use crate::wire::{self, Signed, SignedBy, SignedEntry, Verifier};

/// Which services prove it.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) log: LogService,
    pub(super) tsa: Option<String>,
    /// The trusted root that judges them.
    pub(super) root: Option<String>,
}

impl Logs {
    pub(super) fn new(
        connections: &Connections,
        log: Option<LogService>,
        tsa: Option<String>,
    ) -> Result<Self, Failure> {
        let log = needed(log, "log is told of it", "--rekor-url", "COSIGN_REKOR_URL")?;
        Ok(Self { log, tsa, root: connections.network_root()?.cloned() })
    }

    /// Asks for a timestamp and for an entry. The inner error: the entry is lost, and another signature
    /// may get one.
    pub(super) async fn prove(
        &self,
        signer: &Signer,
        connections: &Connections,
        key: &PrivateKey,
        mut signed: Signed,
        what: ToSign<'_>,
    ) -> Result<Result<Signed, Failure>, Failure> {
        // (1) The time, before anything is public: a signature without it may be worth nothing.
        if let Some(tsa) = &self.tsa {
            signed.timestamp = self.stamp(signer, connections, tsa, &signed).await?;
        }
        // (2) The entry.
        let client = connections.client();
        let verifier = Verifier::of(&signed.by, key.public().spki());
        let entry = match (self.log.version, what) {
            (LogVersion::V1, ToSign::Statement(statement, _)) => {
                let document = wire::propose_dsse(statement, &signed.signature, verifier);
                SignedEntry::V1(Rekor::new(client, Some(&self.log.url)).add(&document).await?)
            }
            (LogVersion::V1, _) => {
                let digest = key.hashed(&digests(what))?;
                let document = wire::propose_hashedrekord(&digest, &signed.signature, verifier);
                SignedEntry::V1(Rekor::new(client, Some(&self.log.url)).add(&document).await?)
            }
            (LogVersion::V2, _) => {
                let digest = key.hashed(&digests(what))?;
                let details = key.public().log_details().ok_or_else(|| {
                    Failure::new(
                        Class::Unsupported,
                        format!("the log {} takes no signature as this key makes it", self.log),
                    )
                    .hint("use a log of Rekor v1: --rekor-url")
                })?;
                let document = wire::propose_v2(&digest, &signed.signature, verifier, details);
                match sigstore::add(client, &self.log.url, &document).await? {
                    Added::Entry(entry) => SignedEntry::V2(entry),
                    Added::Lost(failure) => return Ok(Err(failure)),
                }
            }
        };
        signed.entry = Some(entry);
        Ok(Ok(signed))
    }

    /// Asks for a timestamp, and checks it. None where the authority is silent and the log says the
    /// time.
    async fn stamp(
        &self,
        signer: &Signer,
        connections: &Connections,
        tsa: &str,
        signed: &Signed,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let request = StampRequest::new(&signed.signature)?;
        let stamp = match sigstore::stamp(connections.client(), tsa, &request.document).await? {
            Stamped::Answer(stamp) => stamp,
            Stamped::Silent(failure) if self.log.version == LogVersion::V1 => {
                signer.note(format!(
                    "signed without a timestamp, for {}; the log says the time",
                    failure.line()
                ));
                return Ok(None);
            }
            Stamped::Silent(failure) => {
                return Err(failure.detail(format!(
                    "the log {} says no time, so nothing was told to it",
                    self.log
                )));
            }
        };
        let certificate = match &signed.by {
            SignedBy::Certificate { leaf, .. } => Some(leaf.as_slice()),
            SignedBy::Key(_) => None,
        };
        let root = self.root.as_ref();
        connections
            .roots()
            .judge(async || {
                let roots = connections.roots().load([root]).await;
                roots.get(root)?.check_answered(&stamp, &request, &signed.signature, certificate)
            })
            .await
            .map_err(|failure| {
                failure.within(format!("what the timestamp authority `{tsa}` answered"))
            })?;
        Ok(Some(stamp))
    }

    /// Says what stays in the log, whatever becomes of the signature.
    pub(super) fn tells(&self, signed: &Signed) -> String {
        match signed.log_index() {
            Some(index) => format!("the entry {index} of the log {} stays", self.log),
            None => format!("an entry of the log {} stays", self.log),
        }
    }
}

/// Checks all that a log said of an entry, also what is not written.
pub(super) fn check(root: &TrustedRoot, signed: &Signed) -> Result<(), Rejected> {
    match &signed.entry {
        None => Ok(()),
        Some(SignedEntry::V1(answer)) => root.check_answer(answer).map(|_| ()),
        Some(SignedEntry::V2(entry)) => root.check_head(entry),
    }
}

fn digests(what: ToSign<'_>) -> MessageDigests {
    match what {
        ToSign::File(digests) => digests.clone(),
        ToSign::Payload(bytes, _) | ToSign::Whole(bytes) => digests_of(bytes),
        ToSign::Statement(statement, _) => digests_of(&wire::statement_to_sign(statement)),
    }
}
