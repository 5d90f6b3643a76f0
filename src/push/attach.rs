//! Attaching a legacy signature: read what is there, add ours, write, read back, verify with our
//! own checker.
//!
//! A registry has no compare-and-swap for a tag: processes of one machine take turns under a lock
//! in the store; between machines the window from reading to writing stays, and is closed by
//! reading again and, where ours is gone, adding it once more. Source: cosign
//! `specs/SIGNATURE_SPEC.md`. Bundles, which lie side by side: `bundle`.

mod bundle;

use super::late::Late;
use crate::class::{Class, Failure};
use crate::name::{Digest, Repository, Subject, Tag};
use crate::registry::{Client, Presence, Role};
use crate::session::Connections;
use crate::signer::{Signer, ToSign};
use crate::store::{Folder, Lock};
use crate::trust::{Checker, Held, VerifiedSignature};
use crate::wire::{LegacyCandidate, Payload, Signatures, Signed};
use oci_distribution::manifest::OCI_IMAGE_MEDIA_TYPE;
use std::time::{Duration, Instant};

/// How often ours is added again when someone else's write took it away.
const ROUNDS: usize = 5;
/// How long to wait for the other processes of this machine that sign the same image.
const PATIENCE: Duration = Duration::from_secs(45);
/// How long to wait between two tries to get the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// What came of attaching.
#[derive(Debug)]
pub struct Attached {
    /// Our signature, as our own checker found it in the registry.
    pub signature: VerifiedSignature,
    /// Whether it was there before: nothing was written.
    pub already: bool,
}

impl Attached {
    /// Returns how it is signed where a log has it: by whom, in which form, and where it is public.
    #[must_use]
    pub fn how(&self, signer: &Signer) -> String {
        let Some(log) = signer.log() else { return String::new() };
        let by = self.signature.certificate().map_or_else(String::new, |certificate| {
            format!(" by {} (issuer {})", certificate.subject(), certificate.issuer())
        });
        format!("{by}, {} signature, in the log {log}", self.signature.format())
    }
}

/// Says of a failure to write a signature that was made what stays public.
fn stays(failure: Failure, signed: &Signed, signer: &Signer) -> Failure {
    match (signed.log_index(), signer.log()) {
        (Some(index), Some(log)) => failure.detail(format!(
            "the signature is public in the log {log}, as the entry {index}, and not at the image; signing again makes another"
        )),
        _ => failure,
    }
}

/// Where a signature goes, and where it is kept in order.
#[derive(Debug)]
pub struct AttachTarget<'a> {
    /// The registry, and where locks lie.
    pub connections: &'a Connections,
    /// The repository that holds signatures: the image's, or `COSIGN_REPOSITORY`.
    pub repository: &'a Repository,
}

impl AttachTarget<'_> {
    fn client(&self) -> &Client {
        self.connections.client()
    }

    /// Signs `payload` and attaches it to `subject`, unless the same signer already signed exactly
    /// that.
    ///
    /// # Errors
    /// Those of the registry; `state` where no lock can be had; `registry` where what was written
    /// does not come back.
    pub async fn attach(
        &self,
        subject: &Subject,
        payload: &Payload,
        signer: &Signer,
    ) -> Result<Attached, Failure> {
        let tag = Tag::of_signatures(&subject.digest);
        let _lock = self.lock(&tag).await?;
        let bytes = payload.to_bytes();
        // Made once, whatever becomes of writing it.
        let mut signed = None;
        // What was there when it was written last.
        let mut written_over: Option<Option<Digest>> = None;
        let mut late = Late::new(self.client());
        let mut rounds = 0;
        loop {
            let (there, mut signatures) = self.read(&tag).await?;
            // Each time again: signing may have needed a newer trusted root.
            let own = signer.own(self.connections).await?;
            let checker = own.checker();
            // (read back) It comes from the registry, and our own checker has the last word. The
            // payload is not fetched again: it has the digest of the one that we hold.
            if let Some(signature) = ours(&signatures, &checker, &bytes, &subject.digest) {
                return Ok(Attached { signature, already: signed.is_none() });
            }
            // What was there before is not an answer to what was written since.
            if written_over == Some(there) {
                if late.again().await {
                    continue;
                }
                return Err(late.over(not_shown(self.repository, &tag)));
            }
            if rounds == ROUNDS {
                return Err(replaced(self.repository, &tag));
            }
            rounds += 1;
            written_over = Some(there);
            let ours = match signed.take() {
                Some(made) => made,
                None => {
                    signer.sign(self.connections, ToSign::Payload(&bytes, &subject.digest)).await?
                }
            };
            let ours = signed.insert(ours);
            signatures.push(&bytes, ours)?;
            let (config, manifest) = (signatures.config(), signatures.manifest());
            let write = async {
                tokio::try_join!(
                    self.client().put_blob(self.repository, &bytes),
                    self.client().put_blob(self.repository, &config)
                )?;
                self.client()
                    .put_manifest(self.repository, Some(&tag), OCI_IMAGE_MEDIA_TYPE, &manifest)
                    .await
            };
            write.await.map_err(|failure| stays(failure, ours, signer))?;
            late = Late::new(self.client());
        }
    }

    /// Returns what is under the tag, and its digest.
    async fn read(&self, tag: &Tag) -> Result<(Option<Digest>, Signatures), Failure> {
        match self.client().by_tag(self.repository, tag, Role::Image).await? {
            Presence::There(manifest) => {
                Ok((Some(manifest.digest), Signatures::parse(&manifest.bytes)?))
            }
            // Also where the whole repository is not there yet: for signing that means empty.
            Presence::Absent(_) => Ok((None, Signatures::default())),
        }
    }

    /// Waits for those who sign the same image, in another process or in this one.
    async fn lock(&self, tag: &Tag) -> Result<Lock, Failure> {
        // Waiting for others is not the registry's fault.
        let _pause = self.client().pause();
        let folder = Folder::first_of(&self.connections.locations().state)?.within("locks")?;
        // 256 locks for all images: sharing one only costs a wait, and their number stays bounded.
        let name = Digest::of(format!("{}:{tag}", self.repository).as_bytes()).hex();
        let name = name.get(..2).unwrap_or("00");
        let since = Instant::now();
        loop {
            // A wait that stops the thread would stop who holds it, where that is this process.
            match folder.try_lock(name)? {
                Some(lock) => return Ok(lock),
                None if since.elapsed() < PATIENCE => tokio::time::sleep(LOCK_PAUSE).await,
                None => return folder.lock(name, Duration::ZERO),
            }
        }
    }
}

/// Returns our signature of exactly these bytes, where it is among `signatures`.
fn ours(
    signatures: &Signatures,
    checker: &Checker<'_>,
    payload: &[u8],
    image: &Digest,
) -> Option<VerifiedSignature> {
    let digest = Digest::of(payload);
    let verified = |candidate: LegacyCandidate| {
        Held::check(&candidate, checker).ok()?.check_claims(payload, image, checker).ok()
    };
    signatures
        .candidates()
        .flatten()
        .filter(|candidate| candidate.payload == digest)
        .find_map(verified)
}

fn not_shown(repository: &Repository, tag: &Tag) -> Failure {
    Failure::new(
        Class::Registry,
        format!("our signature was written to `{repository}:{tag}`, and the registry shows what was there before"),
    )
    .hint("run it again later: what is signed then is left as it is")
}

fn replaced(repository: &Repository, tag: &Tag) -> Failure {
    Failure::new(
        Class::Registry,
        format!("our signature under `{repository}:{tag}` was replaced by others {ROUNDS} times"),
    )
    .hint("run it again; when it stays, let only one machine sign at a time")
}
