//! The flow of pulling: verify an image, then fetch every byte of it into an archive.
//!
//! Hosts that unpack for themselves do not check layer bytes, and resolve the tag once more. An
//! archive that was written here holds what was verified and nothing else, whatever the registry
//! says later.

use crate::archive::{self, ArchivePlace, Image, Plan};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference, Repository, Subject, Tag};
use crate::policy::Policy;
use crate::registry::{Manifest, ManifestKind, Presence, Referrers, ReferrersList, Role};
use crate::session::Connections;
use crate::trust::Requirements;
use crate::unpack::{self, Provisional};
use crate::wire::Referrer;

/// What is pulled, and how.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The image.
    pub image: Reference,
    /// Where it is written.
    pub place: ArchivePlace,
    /// Which image of an index: `linux/arm64`, `linux/arm/v7`; none for this machine's.
    pub platform: Option<String>,
    /// Whether signatures go along, and the index that they are of.
    pub signatures: bool,
}

/// What was pulled.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// Why it could be.
    pub provisional: Provisional,
    /// The image in the archive.
    pub digest: Digest,
    /// How many bytes were fetched, or were there already.
    pub bytes: u64,
}

/// How far it is.
pub trait PullProgress {
    /// So many bytes will come.
    fn begin(&self, bytes: u64);
    /// So many came.
    fn add(&self, bytes: u64);
}

/// Verifies an image, and writes it into an archive.
///
/// # Errors
/// The decision, where it refuses; then nothing is written, and nothing is left of an earlier call.
/// Those of [`archive::write`].
pub async fn pull(
    connections: &Connections,
    policy: &Policy,
    request: &PullOptions,
    requirements: &Requirements,
    progress: &impl PullProgress,
) -> Result<Pulled, Failure> {
    let prepared = prepare(connections, policy, request, requirements).await;
    let (provisional, digest, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            if !failure.class().is_inconclusive() {
                archive::discard(&request.place);
            }
            return Err(failure);
        }
    };
    let bytes = plan.bytes();
    progress.begin(bytes);
    archive::write(connections.client(), &plan, &request.place, &|bytes| progress.add(bytes))
        .await?;
    Ok(Pulled { provisional, digest, bytes })
}

/// Verifies, and finds out everything that goes into the archive.
async fn prepare(
    connections: &Connections,
    policy: &Policy,
    request: &PullOptions,
    requirements: &Requirements,
) -> Result<(Provisional, Digest, Plan), Failure> {
    let PullOptions { image: name, platform, signatures, .. } = request;
    let platform = platform.as_deref();
    let provisional =
        unpack::by_platform(connections, policy, name, platform, requirements).await?;
    let (image, index) = image(connections, name, &provisional, platform).await?;
    let digest = image.digest;
    if let Some(signed) = provisional.signed()
        && *signed != digest
        && index.as_ref().is_none_or(|index| index.digest != *signed)
    {
        let what = format!("`{signed}` is signed, and `{digest}` is the image for this platform");
        return Err(Failure::new(Class::Binding, what));
    }
    if let ArchivePlace::File(_) = request.place {
        check_layers(&image)?;
    }
    let subjects: Vec<Digest> = index.iter().map(|index| index.digest).chain([digest]).collect();
    let index = index.filter(|_| *signatures);
    let mut plan = Plan::new(&Image { name: name.clone(), manifest: image, index }, *signatures)?;
    if *signatures {
        let matched = policy.matching(name, connections.now());
        for repository in matched.repositories() {
            let role =
                if repository == *name.repository() { Role::Image } else { Role::Signatures };
            for subject in &subjects {
                add_signatures(connections, &repository, role, *subject, &mut plan).await?;
            }
        }
    }
    Ok((provisional, digest, plan))
}

/// Returns the image, and the index that it is in.
async fn image(
    connections: &Connections,
    name: &Reference,
    provisional: &Provisional,
    platform: Option<&str>,
) -> Result<(Manifest, Option<Manifest>), Failure> {
    let repository = name.repository();
    let found = match provisional.subject() {
        Some(subject) => manifest(connections, repository, &subject.digest).await?,
        // Nothing was looked for, so nothing was resolved.
        None => connections.client().resolve(name).await?,
    };
    let child = match &found.kind {
        ManifestKind::Image(_) => return Ok((found, None)),
        ManifestKind::Index(index) => unpack::child(index, platform)?,
    };
    let Some(child) = child else {
        let what = format!("`{name}` has no image for {}", platform.unwrap_or("this machine"));
        return Err(Failure::new(Class::NotFound, what).hint("choose another one with --platform"));
    };
    Ok((manifest(connections, repository, &child).await?, Some(found)))
}

async fn manifest(
    connections: &Connections,
    repository: &Repository,
    digest: &Digest,
) -> Result<Manifest, Failure> {
    match connections.client().manifest(repository, digest, limits::MANIFEST_BYTES).await? {
        Presence::There(manifest) => Ok(manifest),
        Presence::Absent(_) => {
            let what = format!("`{repository}@{digest}` is listed, and not there");
            Err(Failure::new(Class::Registry, what))
        }
    }
}

/// What reads a file takes every layer for an archive of files.
fn check_layers(image: &Manifest) -> Result<(), Failure> {
    let ManifestKind::Image(parsed) = &image.kind else { return Ok(()) };
    match parsed.layers.iter().find(|layer| !crate::layers::is_layer(&layer.media_type)) {
        Some(layer) => {
            let what = format!("`{}` is not a layer of files", layer.media_type);
            Err(Failure::new(Class::Unsupported, what).hint("write it into oci:DIR"))
        }
        None => Ok(()),
    }
}

/// Adds every signature of a subject, in whatever place it lies.
async fn add_signatures(
    connections: &Connections,
    repository: &Repository,
    role: Role,
    digest: Digest,
    plan: &mut Plan,
) -> Result<(), Failure> {
    let client = connections.client();
    let tag = Tag::of_signatures(&digest);
    if let Presence::There(manifest) = client.by_tag(repository, &tag, role).await? {
        plan.add_signatures(repository, &manifest, Some(tag.as_str()))?;
    }
    let mut listings = Vec::new();
    let subject = Subject { repository: repository.clone(), digest };
    if let Referrers::Listed(listing) = client.referrers(&subject, role).await? {
        listings.push(listing);
    }
    let fallback = Tag::of_referrers(&digest);
    if let Presence::There(manifest) = client.by_tag(repository, &fallback, role).await?
        && let ManifestKind::Index(index) = &manifest.kind
    {
        listings.push(ReferrersList::of_fallback(index)?);
    }
    for descriptor in listings.iter().flat_map(ReferrersList::candidates) {
        let found = client.manifest(repository, &descriptor.digest, limits::REFERRER_BYTES).await?;
        if let Presence::There(manifest) = found
            && matches!(
                Referrer::parse(&manifest.bytes, &digest),
                Ok(Referrer::Bundle { .. } | Referrer::Legacy)
            )
        {
            plan.add_signatures(repository, &manifest, None)?;
        }
    }
    Ok(())
}
