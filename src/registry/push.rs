//! Writing: blobs and manifests. Nothing is sent to a place outside the registry, whatever
//! `Location` says (N13).
//!
//! OCI distribution-spec 1.1, "Pushing a blob monolithically" (a single POST, which a registry need
//! not take, and POST then PUT) and "Pushing Manifests with Subject" (`OCI-Subject`).

use super::PushedManifest;
use super::answer::{Reply, refusal};
use super::body::{self, Cap};
use super::session::{ClientCore, RegistryCall, RequestBody, RequestTarget};
use super::trouble::Trouble;
use super::upload::UploadFile;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Repository, Tag};
use reqwest::header::LOCATION;
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};

const BYTES: &str = "application/octet-stream";

impl ClientCore {
    pub(super) async fn may_push(&self, repository: &Repository) -> Result<(), Failure> {
        let url = self.persist(true, async || self.begin_upload(repository).await).await?;
        // Whether the registry can forget an upload says nothing about the right to push; it will
        // expire.
        let _ = self
            .ask(
                &RegistryCall::push(repository, Method::DELETE, RequestTarget::Given(url)),
                body::ERROR,
                false,
            )
            .await;
        Ok(())
    }

    pub(super) async fn put_blob(
        &self,
        repository: &Repository,
        bytes: &[u8],
    ) -> Result<Digest, Failure> {
        let digest = Digest::of(bytes);
        let small = bytes.len() <= limits::BLOB_AT_ONCE_BYTES;
        let tried = AtomicBool::new(false);
        // An upload that broke off may have been taken or lost: a further try asks first, and goes
        // the way that every registry knows. So does one of a blob that is worth a question.
        let upload = async || {
            let first = !tried.swap(true, Ordering::Relaxed);
            if !(first && small) && self.has_blob(repository, &digest).await? {
                return Ok(());
            }
            let begun = if first && small {
                self.upload_at_once(repository, &digest, bytes).await?
            } else {
                Some(self.begin_upload(repository).await?)
            };
            let Some(mut url) = begun else { return Ok(()) };
            url.query_pairs_mut().append_pair("digest", &digest.to_string());
            let mut call = RegistryCall::push(repository, Method::PUT, RequestTarget::Given(url));
            call.body = Some(RequestBody::Bytes(BYTES, bytes));
            let reply = self.attempt(&call, body::ERROR).await?;
            if !reply.status.is_success() {
                return Err(refused(&reply, repository, &format!("the blob `{digest}`")).into());
            }
            Ok(check_stored(&reply, &digest, repository)?)
        };
        self.persist(true, upload).await.map(|()| digest)
    }

    pub(super) async fn put_file(
        &self,
        repository: &Repository,
        digest: &Digest,
        file: &UploadFile,
    ) -> Result<(), Failure> {
        let upload = async || {
            if self.has_blob(repository, digest).await? {
                return Ok(());
            }
            let mut url = self.begin_upload(repository).await?;
            url.query_pairs_mut().append_pair("digest", &digest.to_string());
            let mut call = RegistryCall::push(repository, Method::PUT, RequestTarget::Given(url));
            call.body = Some(RequestBody::File(BYTES, file));
            let reply = self.attempt(&call, body::ERROR).await?;
            if !reply.status.is_success() {
                return Err(refused(&reply, repository, &format!("the blob `{digest}`")).into());
            }
            Ok(check_stored(&reply, digest, repository)?)
        };
        self.persist(true, upload).await
    }

    pub(super) async fn put_manifest(
        &self,
        repository: &Repository,
        tag: Option<&Tag>,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<PushedManifest, Failure> {
        let digest = Digest::of(bytes);
        let name = tag.map_or_else(|| digest.to_string(), ToString::to_string);
        let mut call = RegistryCall::push(
            repository,
            Method::PUT,
            RequestTarget::Path(format!("manifests/{name}")),
        );
        call.body = Some(RequestBody::Bytes(media_type, bytes));
        let reply = self.ask(&call, body::ERROR, true).await?;
        if !reply.status.is_success() {
            return Err(refused(&reply, repository, &format!("the manifest `{name}`")));
        }
        check_stored(&reply, &digest, repository)?;
        Ok(PushedManifest { digest, subject_acknowledged: acknowledged(&reply, bytes) })
    }

    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, Failure> {
        let call = RegistryCall::push(
            repository,
            Method::HEAD,
            RequestTarget::Path(format!("blobs/{digest}")),
        );
        let reply = self.ask(&call, Cap::of(0), true).await?;
        match reply.status {
            StatusCode::OK => Ok(true),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(refusal(&reply, repository)),
            _ => Ok(false),
        }
    }

    /// Begins an upload with everything in it. Returns where to go on where the registry did not
    /// take it like that.
    async fn upload_at_once(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes: &[u8],
    ) -> Result<Option<Url>, Trouble> {
        let path = format!("blobs/uploads/?digest={digest}");
        let mut call = RegistryCall::push(repository, Method::POST, RequestTarget::Path(path));
        call.body = Some(RequestBody::Bytes(BYTES, bytes));
        let reply = self.attempt(&call, body::ERROR).await?;
        match reply.status {
            StatusCode::CREATED => {
                check_stored(&reply, digest, repository)?;
                Ok(None)
            }
            StatusCode::ACCEPTED => self.place_of(&reply, repository).map(Some),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(refused(&reply, repository, "an upload").into())
            }
            // One that does not know this form may say so in many ways; what else is wrong is said
            // again.
            _ => self.begin_upload(repository).await.map(Some),
        }
    }

    /// Begins an upload, once. Callers may try again: an upload that is begun and not used expires.
    async fn begin_upload(&self, repository: &Repository) -> Result<Url, Trouble> {
        let mut call = RegistryCall::push(
            repository,
            Method::POST,
            RequestTarget::Path("blobs/uploads/".to_owned()),
        );
        call.body = Some(RequestBody::Bytes(BYTES, &[]));
        let reply = self.attempt(&call, body::ERROR).await?;
        if reply.status != StatusCode::ACCEPTED {
            return Err(refused(&reply, repository, "an upload").into());
        }
        self.place_of(&reply, repository)
    }

    /// Returns where an upload that was begun goes on.
    fn place_of(&self, reply: &Reply, repository: &Repository) -> Result<Url, Trouble> {
        let base = self.known_base(repository)?;
        let at =
            base.join("blobs/uploads/").map_err(|error| Failure::new(Class::Internal, error))?;
        Ok(upload_url(&at, reply.header(LOCATION), repository)?)
    }
}

fn upload_url(at: &Url, location: Option<&str>, repository: &Repository) -> Result<Url, Failure> {
    let bad = |why: &str| {
        Failure::new(Class::Registry, format!("`{repository}`: an upload was accepted {why}"))
    };
    let mut url = at
        .join(location.ok_or_else(|| bad("without `Location`"))?)
        .map_err(|_| bad("with a `Location` that is not a URL"))?;
    url.set_fragment(None);
    let mine = url.origin() == at.origin() && url.username().is_empty() && url.password().is_none();
    if mine {
        return Ok(url);
    }
    let there = super::transport::shown(&url);
    Err(Failure::new(Class::Auth, format!("`{repository}`: the registry wants the upload at `{there}`; nothing was sent"))
        .hint("the registry, or a proxy before it, names itself wrongly: see `X-Forwarded-Proto` and `X-Forwarded-Host`"))
}

fn refused(reply: &Reply, repository: &Repository, what: &str) -> Failure {
    let failure = refusal(reply, repository).within(format!("{what} was not taken"));
    let sentence = reply.sentence().unwrap_or_default().to_ascii_lowercase();
    let code = reply.code().unwrap_or_default().to_ascii_uppercase();
    let says = |words: &[&str]| words.iter().any(|word| sentence.contains(word));
    let Some(hint) = Refusal::of(reply.status.as_u16(), &code, says) else { return failure };
    let failure = match hint {
        // Nobody's rights are at fault.
        Refusal::Immutable | Refusal::Full => failure.as_class(Class::Registry),
        _ => failure,
    };
    failure.hint(hint.hint())
}

/// Why a write was refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Full,
    Immutable,
    NoRepository,
    ReadOnly,
    TooLarge,
}

impl Refusal {
    /// Registries say it in their own words: ECR, Harbor, Quay, GitLab and Artifactory differ.
    fn of(status: u16, code: &str, says: impl Fn(&[&str]) -> bool) -> Option<Self> {
        let refused = (400..500).contains(&status) && status != 429;
        match status {
            _ if refused
                && says(&["immutable", "cannot be overwritten", "can't be overwritten"]) =>
            {
                Some(Self::Immutable)
            }
            507 => Some(Self::Full),
            _ if refused
                && says(&["quota", "upper limit", "storage limit", "exceeds the limit"]) =>
            {
                Some(Self::Full)
            }
            413 => Some(Self::TooLarge),
            404 => Some(Self::NoRepository),
            405 => Some(Self::ReadOnly),
            _ if refused && (code == "UNSUPPORTED" || says(&["read-only", "read only"])) => {
                Some(Self::ReadOnly)
            }
            _ => None,
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Immutable => {
                "tags cannot be changed there, and signatures of one image share a tag: exempt the tags `sha256-*` from that rule, or name another repository for signatures in COSIGN_REPOSITORY"
            }
            Self::Full => "make room there, or have the quota raised",
            Self::NoRepository => {
                "some registries want a repository to be created before the first push"
            }
            Self::ReadOnly => {
                "it takes no writes: a cache or mirror of another registry? push where that one takes its images from, or name another repository for signatures in COSIGN_REPOSITORY"
            }
            Self::TooLarge => {
                "a proxy before the registry limits how large an upload may be: have that raised"
            }
        }
    }
}

/// Believes that bytes were stored under their digest, unless the registry says another one
/// (docs/threats.md G13).
fn check_stored(reply: &Reply, digest: &Digest, repository: &Repository) -> Result<(), Failure> {
    match reply.header("docker-content-digest").map(str::parse::<Digest>) {
        Some(Ok(found)) if found != *digest => Err(Failure::new(
            Class::Registry,
            format!("`{repository}`: sent `{digest}`, and the registry stored `{found}`"),
        )),
        _ => Ok(()),
    }
}

fn acknowledged(reply: &Reply, bytes: &[u8]) -> bool {
    let document: Option<Value> = serde_json::from_slice(bytes).ok();
    let subject =
        document.as_ref().and_then(|document| document.get("subject")?.get("digest")?.as_str());
    subject.is_some() && reply.header("oci-subject") == subject
}
