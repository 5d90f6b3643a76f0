//! Reading: manifests by tag and digest, small blobs. Lists of referrers: `referrers`.
//!
//! Every byte is hashed here; a digest in a header is never believed (docs/threats.md R05).

use super::Role;
use super::answer::{Absence, Presence, Reply, absence, refusal};
use super::body::Cap;
use super::manifest::{ACCEPT, Manifest};
use super::session::{ClientCore, RegistryCall};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference, Repository, Tag};
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

impl ClientCore {
    pub(super) async fn resolve(&self, reference: &Reference) -> Result<Manifest, Failure> {
        let repository = reference.repository();
        let answer = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => self.manifest(repository, digest, limits::MANIFEST_BYTES).await?,
            (None, Some(tag)) => self.by_tag(repository, tag, Role::Image).await?,
            (None, None) => {
                return Err(Failure::new(
                    Class::Reference,
                    format!("`{reference}` has neither tag nor digest"),
                ));
            }
        };
        match answer {
            Presence::There(manifest) => Ok(manifest),
            Presence::Absent(Absence { status, code }) => {
                let code = code.map(|code| format!(" `{code}`")).unwrap_or_default();
                Err(Failure::new(
                    Class::NotFound,
                    format!("`{reference}` does not exist (the registry answered {status}{code})"),
                ))
            }
        }
    }

    pub(super) async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        cap: u64,
    ) -> Result<Presence<Manifest>, Failure> {
        let call = RegistryCall::get(repository, format!("manifests/{digest}"), ACCEPT);
        let reply = self.ask(&call, Cap::of(cap), true).await?;
        match reply.status {
            StatusCode::OK => {
                check_digest(&reply.body, digest, repository)?;
                read(reply, repository).map(Presence::There)
            }
            StatusCode::NOT_FOUND => absence(&reply, repository, Role::Image).map(Presence::Absent),
            _ => Err(refusal(&reply, repository)),
        }
    }

    pub(super) async fn by_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        role: Role,
    ) -> Result<Presence<Manifest>, Failure> {
        let call = RegistryCall::get(repository, format!("manifests/{tag}"), ACCEPT);
        let reply = self.ask(&call, Cap::of(limits::MANIFEST_BYTES), true).await?;
        match reply.status {
            StatusCode::OK => read(reply, repository).map(Presence::There),
            StatusCode::NOT_FOUND => absence(&reply, repository, role).map(Presence::Absent),
            _ => Err(refusal(&reply, repository)),
        }
    }

    pub(super) async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        cap: u64,
    ) -> Result<Vec<u8>, Failure> {
        if size > cap {
            return Err(Failure::new(
                Class::Limit,
                format!("`{repository}@{digest}` has {size} bytes; at most {cap} are read"),
            ));
        }
        let call = RegistryCall::get(repository, format!("blobs/{digest}"), "*/*");
        let reply = self.ask(&call, Cap::announced(size), true).await?;
        check_blob(&reply, repository, digest)?;
        if u64::try_from(reply.body.len()) != Ok(size) {
            let found = reply.body.len();
            return Err(Failure::new(
                Class::Digest,
                format!("`{repository}@{digest}` has {found} bytes; expected {size}"),
            ));
        }
        check_digest(&reply.body, digest, repository)?;
        Ok(reply.body)
    }
}

fn read(reply: Reply, repository: &Repository) -> Result<Manifest, Failure> {
    if reply.is_html() {
        return Err(Failure::new(
            Class::Registry,
            format!("`{repository}`: a web page came where a manifest was expected"),
        ));
    }
    let content_type = reply.header(CONTENT_TYPE).map(ToOwned::to_owned);
    Manifest::parse(reply.body, content_type.as_deref())
        .map_err(|failure| failure.within(format!("`{repository}`")))
}

fn check_digest(bytes: &[u8], digest: &Digest, repository: &Repository) -> Result<(), Failure> {
    let found = Digest::of(bytes);
    if found == *digest {
        Ok(())
    } else {
        Err(Failure::new(
            Class::Digest,
            format!("`{repository}`: asked for `{digest}`, got bytes with `{found}`"),
        ))
    }
}

/// Lets a blob pass. One that a manifest lists and the registry does not have says nothing about
/// the image.
pub(super) fn check_blob(
    reply: &Reply,
    repository: &Repository,
    digest: &Digest,
) -> Result<(), Failure> {
    match reply.status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND => Err(Failure::new(
            Class::Registry,
            format!(
                "`{repository}@{digest}` is listed by a manifest, and the registry does not have it"
            ),
        )),
        _ => Err(refusal(reply, repository)),
    }
}
