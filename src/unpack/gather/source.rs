//! Where an image and its signatures are looked for: at a registry, or in an archive, which answers
//! for itself. What an archive does not hold is not there; nobody else is asked.

use crate::archive::{Contents, Layout};
use crate::class::{Class, Failure};
use crate::name::{Digest, Reference, Repository, Subject, Tag};
use crate::registry::{
    Absence, Client, Manifest, ManifestKind, Presence, Referrers, ReferrersList, Role,
};
use oci_distribution::manifest::OciImageIndex;
use serde_json::json;

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub(in crate::unpack) enum ManifestSource<'a> {
    Archive { layout: &'a Layout, contents: &'a Contents },
    Registry(&'a Client),
}

impl ManifestSource<'_> {
    pub(super) async fn resolve(&self, reference: &Reference) -> Result<Manifest, Failure> {
        let contents = match self {
            Self::Registry(client) => return client.resolve(reference).await,
            Self::Archive { contents, .. } => contents,
        };
        let held = [contents.subject(), &contents.image];
        let wanted = reference.digest().unwrap_or(&contents.subject().digest);
        held.into_iter().find(|manifest| manifest.digest == *wanted).cloned().ok_or_else(|| {
            let held = contents.subject().digest;
            let what = format!("the archive holds `{held}`; `{reference}` was asked for");
            Failure::new(Class::Digest, what)
        })
    }

    /// Returns the one image of an index that an archive holds.
    pub(super) fn only_child(&self, index: &Manifest) -> Option<Digest> {
        match self {
            Self::Archive { contents, .. } if contents.image.digest != index.digest => {
                Some(contents.image.digest)
            }
            _ => None,
        }
    }

    pub(super) async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        cap: u64,
    ) -> Result<Presence<Manifest>, Failure> {
        match self {
            Self::Registry(client) => client.manifest(repository, digest, cap).await,
            Self::Archive { contents, .. } => {
                let held = contents.signatures.iter().map(|found| &found.manifest);
                Ok(answer(held.clone().find(|manifest| manifest.digest == *digest)))
            }
        }
    }

    pub(super) async fn by_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
        role: Role,
    ) -> Result<Presence<Manifest>, Failure> {
        match self {
            Self::Registry(client) => client.by_tag(repository, tag, role).await,
            Self::Archive { contents, .. } => {
                let found =
                    contents.signatures.iter().find(|found| found.tag.as_ref() == Some(tag));
                Ok(answer(found.map(|found| &found.manifest)))
            }
        }
    }

    pub(super) async fn referrers(
        &self,
        subject: &Subject,
        role: Role,
    ) -> Result<Referrers, Failure> {
        let contents = match self {
            Self::Registry(client) => return client.referrers(subject, role).await,
            Self::Archive { contents, .. } => contents,
        };
        let entries: Vec<_> = contents
            .signatures
            .iter()
            .map(|found| &found.manifest)
            .filter(|manifest| manifest.subject == Some(subject.digest))
            .map(|manifest| {
                json!({"mediaType": manifest.media_type, "digest": manifest.digest.to_string(), "size": manifest.bytes.len()})
            })
            .collect();
        let index: OciImageIndex =
            serde_json::from_value(json!({"schemaVersion": 2, "manifests": entries}))
                .map_err(|error| Failure::new(Class::Internal, format!("a list: {error}")))?;
        ReferrersList::of_fallback(&index).map(Referrers::Listed)
    }

    pub(super) async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        size: u64,
        cap: u64,
    ) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Registry(client) => client.blob(repository, digest, size, cap).await,
            Self::Archive { layout, .. } => {
                let bytes = layout.blob(digest, cap)?;
                if u64::try_from(bytes.len()) == Ok(size) {
                    return Ok(bytes);
                }
                let found = bytes.len();
                let what = format!("`{digest}` has {found} bytes; expected {size}");
                Err(Failure::new(Class::Digest, what))
            }
        }
    }

    pub(super) fn ahead(&self, repository: &Repository, connections: usize) {
        if let Self::Registry(client) = self {
            client.ahead(repository, connections);
        }
    }
}

fn answer(found: Option<&Manifest>) -> Presence<Manifest> {
    match found {
        // Signatures are images to a registry.
        Some(manifest) if matches!(manifest.kind, ManifestKind::Image(_)) => {
            Presence::There(manifest.clone())
        }
        _ => Presence::Absent(Absence { status: 404, code: Some("not in the archive".to_owned()) }),
    }
}
