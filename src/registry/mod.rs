//! The adapter of OCI registries: the only room that speaks to them.
//!
//! What it promises: every byte under a cap and a deadline; digests computed from bytes; "not
//! there" only where the registry said so; credentials only to the registry they are for. It reads
//! no environment and no clock of day, prints nothing and judges no signature. Specification: OCI
//! distribution-spec 1.1; Docker Registry v2 token authentication. It is not `oci-client`, which
//! reads bodies without a limit and sends credentials wherever a challenge points. The attacks that
//! it resists: docs/threats.md R, N and F.

mod ahead;
mod answer;
mod auth;
mod authorities;
mod body;
mod cause;
mod challenge;
mod clock;
mod config;
mod credentials;
mod download;
mod file;
mod helper;
mod kept;
mod manifest;
mod mirrors;
mod proxy;
mod published;
mod pull;
mod push;
mod referrers;
mod secret;
mod service;
mod session;
mod space;
mod stream;
mod tags;
mod transport;
mod trouble;
mod upload;

pub use answer::{Absence, Presence};
pub use challenge::read_challenge;
pub use config::{Proxies, RegistryConfig, Times};
pub use credentials::{
    Credential, CredentialOrigin, CredentialScope, CredentialSources, Explicit, StoredCredential,
};
pub use manifest::{Descriptor, Manifest, ManifestKind};
pub use mirrors::{RegistryMirror, RegistryMirrors, Route};
pub use published::Published;
pub use referrers::ReferrersList;
pub use secret::{SecretAnswer, SecretCall};
pub use service::{ServiceAnswer, ServiceCall};
pub use stream::{BlobStream, Pause};
pub use upload::UploadFile;

use crate::class::Failure;
use crate::name::{Digest, Reference, Repository, Subject, Tag};
use session::ClientCore;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

/// A client of any number of registries. Cheap to clone; clones share connections, tokens and the
/// deadline.
#[derive(Clone, Debug)]
pub struct Client(Arc<ClientCore>);

/// What a repository is asked for, which decides what it means that it does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The image's own repository: where it does not exist, nothing of it does.
    Image,
    /// A separate repository of signatures: where that does not exist, its name is probably wrong.
    Signatures,
}

/// What the referrers API said.
#[derive(Clone, Debug, PartialEq)]
pub enum Referrers {
    /// What of all that refers to the subject may be a signature. Where that is nothing, and the
    /// list was not cut, it is an authoritative "none".
    Listed(ReferrersList),
    /// There is no such API: the fallback tag must be asked.
    NoApi(Absence),
}

/// What became of a manifest that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    /// The digest of the bytes that were sent.
    pub digest: Digest,
    /// Whether the registry confirmed that it lists the manifest under its subject (`OCI-Subject`);
    /// else the fallback tag is ours to write.
    pub subject_acknowledged: bool,
}

impl Client {
    /// Makes a client, whose deadline starts now. Does no I/O.
    #[must_use]
    pub fn new(config: RegistryConfig) -> Self {
        Self(Arc::new(ClientCore::new(config)))
    }

    /// Opens connections for so many requests that will be made at the same time, soon: TCP and TLS
    /// are two round trips before the first of them is sent. Nothing waits for it, nothing is sent on
    /// them before, and any request to the registry takes one that is there.
    pub fn ahead(&self, repository: &Repository, connections: usize) {
        // Where mirrors are asked, it may be that the registry itself is never.
        if !self.0.has_mirrors(repository.registry()) {
            self.0.ahead(repository, connections);
        }
    }

    /// Fetches what a reference means. A digest wins over a tag.
    ///
    /// # Errors
    /// `not-found` where the registry says so, `digest` for other bytes, `malformed`, `limit`;
    /// `net`, `auth` and `registry` where it could not be found out.
    pub async fn resolve(&self, reference: &Reference) -> Result<Manifest, Failure> {
        self.0.resolve_anywhere(reference).await
    }

    /// Fetches a manifest by digest, of at most `cap` bytes.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), but absence is an answer.
    pub async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        cap: u64,
    ) -> Result<Presence<Manifest>, Failure> {
        self.0.manifest_anywhere(repository, digest, cap).await
    }

    /// Fetches a manifest by tag: that of signatures, or of the referrers' fallback.
    ///
    /// # Errors
    /// As [`manifest`](Self::manifest); `registry` for [`Role::Signatures`] in a repository that
    /// does not exist.
    pub async fn by_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        role: Role,
    ) -> Result<Presence<Manifest>, Failure> {
        self.0.by_tag_anywhere(repository, tag, role).await
    }

    /// Lists what refers to a subject and may be a signature. The fallback tag is for the caller to
    /// ask, whatever this says.
    ///
    /// # Errors
    /// As [`by_tag`](Self::by_tag). A list that is too long is an answer: [`ReferrersList::cut`].
    pub async fn referrers(&self, subject: &Subject, role: Role) -> Result<Referrers, Failure> {
        self.0.referrers_anywhere(subject, role).await
    }

    /// Hands out the tags of a repository, as far as the registry lists them.
    ///
    /// # Errors
    /// `auth`, `net`, `registry`: there is no list to be had. `limit`: it does not end.
    pub async fn tags(
        &self,
        repository: &Repository,
        take: &mut dyn FnMut(Tag),
    ) -> Result<(), Failure> {
        self.0.tags(repository, take).await
    }

    /// Fetches a blob of exactly `size` bytes, whole.
    ///
    /// # Errors
    /// `limit` where `size` is over `cap` (nothing is asked then), `digest` for another length or
    /// digest; `registry` where the registry does not have it.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        cap: u64,
    ) -> Result<Vec<u8>, Failure> {
        self.0.blob_anywhere(repository, digest, size, cap).await
    }

    /// Begins to fetch a blob of exactly `size` bytes, piece by piece. The deadline stands still
    /// while the stream lives.
    ///
    /// # Errors
    /// As [`blob`](Self::blob).
    pub async fn blob_stream(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
    ) -> Result<BlobStream, Failure> {
        self.blob_rest(repository, digest, size, 0, Sha256::new()).await
    }

    /// Begins to fetch what of a blob is missing behind its first `seen` bytes, over which `hash`
    /// went. The digest that is judged at the end is that of all of it.
    ///
    /// # Errors
    /// As [`blob`](Self::blob); `net` where the registry gives no part of a blob.
    pub async fn blob_rest(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        seen: u64,
        hash: Sha256,
    ) -> Result<BlobStream, Failure> {
        BlobStream::open(Arc::clone(&self.0), repository, digest, size, seen, hash).await
    }

    /// Finds out whether we may push to a repository, by beginning an upload and dropping it.
    ///
    /// # Errors
    /// `auth` where we may not; `net` and `registry` where it could not be found out.
    pub async fn may_push(&self, repository: &Repository) -> Result<(), Failure> {
        self.0.may_push(repository).await
    }

    /// Pushes a blob, unless the registry has it.
    ///
    /// # Errors
    /// `auth` without the right to push, or where the registry wants it sent elsewhere; `registry`
    /// where it is not taken.
    pub async fn put_blob(&self, repository: &Repository, bytes: &[u8]) -> Result<Digest, Failure> {
        self.0.put_blob(repository, bytes).await
    }

    /// Pushes a file as a blob of this digest, unless the registry has it. The deadline stands still
    /// meanwhile.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob).
    pub async fn put_file(
        &self,
        repository: &Repository,
        digest: &Digest,
        file: &UploadFile,
    ) -> Result<(), Failure> {
        let _pause = self.pause();
        self.0.put_file(repository, digest, file).await
    }

    /// Pushes a manifest under a tag, or under its digest alone.
    ///
    /// # Errors
    /// As [`put_blob`](Self::put_blob).
    pub async fn put_manifest(
        &self,
        repository: &Repository,
        tag: Option<&Tag>,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<PushedManifest, Failure> {
        self.0.put_manifest(repository, tag, media_type, bytes).await
    }

    /// Fetches a small file from an https URL that the user named; no credentials go along.
    ///
    /// # Errors
    /// `usage` for what is not a URL, `net` for any answer but the file, `limit` for more than `cap`
    /// bytes.
    pub async fn download(&self, url: &str, cap: u64) -> Result<Vec<u8>, Failure> {
        self.0.download(url, cap).await
    }

    /// Fetches what is published below an address that the user named, until `until` at most; no
    /// credentials go along.
    ///
    /// # Errors
    /// `usage` for an address that is none, `malformed` for a name that leads elsewhere, `limit`
    /// for more than `cap` bytes, `net` for any answer but the file and "not there".
    pub async fn published(
        &self,
        base: &str,
        path: &str,
        cap: u64,
        until: Instant,
    ) -> Result<Published, Failure> {
        self.0.published(base, path, cap, until).await
    }

    /// Checks the address of what is published.
    ///
    /// # Errors
    /// `usage`: it is none, or not https and not this machine.
    pub fn check_address(base: &str) -> Result<(), Failure> {
        published::place(base).map(|_| ())
    }

    /// Asks a service that is not a registry, https or on this machine: a JSON document where there is
    /// one, else a plain request. Returns the status and the body of the answer, whatever the
    /// status is.
    ///
    /// # Errors
    /// `usage` for what is no such URL, `net` for no answer or one that says "later", `limit` for
    /// more than `cap` bytes.
    pub async fn question(
        &self,
        url: &str,
        document: Option<&[u8]>,
        cap: u64,
    ) -> Result<(u16, Vec<u8>), Failure> {
        let call = ServiceCall::question(url, document, cap);
        self.0.call(&call).await.map(|answer| (answer.status, answer.body))
    }

    /// Asks a service that is not a registry, https or on this machine, and returns what it answered,
    /// whatever the status is. Redirects are answers.
    ///
    /// # Errors
    /// As [`question`](Self::question).
    pub async fn call(&self, call: &ServiceCall<'_>) -> Result<ServiceAnswer, Failure> {
        self.0.call(call).await
    }

    /// Asks a service that hands out tokens, https or on this machine, with a secret in one header.
    /// Redirects are not followed. Returns the answer, whatever its status is; 429 and 5xx are asked
    /// again.
    ///
    /// # Errors
    /// `usage` for what is no such URL, `net` for no answer, a redirect, or one that says "later";
    /// `limit` for more than the call's cap.
    pub async fn secretly(&self, call: &SecretCall<'_>) -> Result<SecretAnswer, Failure> {
        self.0.secretly(call).await
    }

    /// Returns when everything but layer bytes must be done, as of now.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.0.clock.deadline()
    }

    /// Holds this process to the deadline, also where it makes no request: checking what a stranger
    /// wrote takes time as well.
    pub fn watch(&self) {
        self.0.transport.watch();
    }

    /// Holds the deadline still while something else takes its time: hashing `Dest`, waiting for a
    /// lock.
    #[must_use]
    pub fn pause(&self) -> Pause {
        Pause::new(Arc::clone(&self.0))
    }

    /// Gives what follows the whole time again: for the next of several images.
    pub fn renew(&self) {
        self.0.clock.renew(self.0.config.deadline);
    }

    /// Returns what counts the bytes of layers that come, piece by piece.
    #[must_use]
    pub fn streamed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.streamed)
    }

    /// Returns how many HTTP requests were made so far, those for tokens, redirects and further
    /// tries included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.0.transport.requests()
    }
}
