//! `download signature`: the signatures of an image as they are there, for programs that read what
//! cosign prints. Nobody's word is checked.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Reference, Subject, Tag};
use crate::registry::{ManifestKind, Presence, Referrers, ReferrersList, Role};
use crate::session::Connections;
use crate::wire::{Bundle, BundleSource, Referrer, Signatures};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns what cosign prints: bundles where there are any, as cosign 3 does, else each legacy
/// signature as an object (`Base64Signature`, `Payload`, `Cert`, `Chain`, `Bundle`,
/// `RFC3161Timestamp`).
///
/// # Errors
/// `unsigned`: there is none. Those of the registry.
pub async fn signatures(
    connections: &Connections,
    reference: &Reference,
) -> Result<Vec<Value>, Failure> {
    let manifest = connections.client().resolve(reference).await?;
    let own = connections.signature_repository()?;
    let repository = own.unwrap_or_else(|| reference.repository().clone());
    let subject = Subject { repository, digest: manifest.digest };
    let found = bundles(connections, &subject).await?;
    let found = if found.is_empty() { legacy(connections, &subject).await? } else { found };
    if found.is_empty() {
        return Err(Failure::new(Class::Unsigned, format!("no signatures of `{subject}`")));
    }
    Ok(found)
}

async fn bundles(connections: &Connections, subject: &Subject) -> Result<Vec<Value>, Failure> {
    let (client, repository) = (connections.client(), &subject.repository);
    let mut listings = Vec::new();
    if let Referrers::Listed(listed) = client.referrers(subject, Role::Image).await? {
        listings.push(listed);
    }
    let tag = Tag::of_referrers(&subject.digest);
    if let Presence::There(manifest) = client.by_tag(repository, &tag, Role::Image).await?
        && manifest.digest != subject.digest
        && let ManifestKind::Index(index) = &manifest.kind
    {
        listings.push(ReferrersList::of_fallback(index)?);
    }
    let candidates: BTreeSet<_> =
        listings.iter().flat_map(ReferrersList::candidates).map(|entry| entry.digest).collect();
    let mut found = Vec::new();
    for digest in candidates {
        let Presence::There(manifest) =
            client.manifest(repository, &digest, limits::REFERRER_BYTES).await?
        else {
            continue;
        };
        // What cannot be read is nothing to print; `check` says what is wrong with it.
        if let Ok(Referrer::Bundle { digest, bytes }) =
            Referrer::parse(&manifest.bytes, &subject.digest)
        {
            let bundle =
                client.blob(repository, &digest, bytes, limits::IMAGE_BUNDLE_BYTES).await?;
            if Bundle::parse(&bundle, BundleSource::Registry).is_ok() {
                found.push(crate::wire::json::parse(&bundle)?);
            }
        }
    }
    Ok(found)
}

async fn legacy(connections: &Connections, subject: &Subject) -> Result<Vec<Value>, Failure> {
    let (client, repository) = (connections.client(), &subject.repository);
    let tag = Tag::of_signatures(&subject.digest);
    let Presence::There(manifest) = client.by_tag(repository, &tag, Role::Image).await? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for candidate in Signatures::parse(&manifest.bytes)?.candidates() {
        let candidate = candidate?;
        let payload = match &candidate.embedded {
            Some(payload) => payload.clone(),
            None => {
                let bytes = candidate.payload_bytes;
                client.blob(repository, &candidate.payload, bytes, limits::PAYLOAD_BYTES).await?
            }
        };
        found.push(candidate.as_cosign_prints(&payload));
    }
    Ok(found)
}
