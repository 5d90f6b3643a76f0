//! What was pushed: the engine's word, held against what the registry serves under the tag.
//!
//! The tag may have been moved since, by anyone who can push. So the digest under it is signed
//! only where the engine says that this is what it pushed: docker knows the digest; buildah only
//! the configuration's, so the layers are held against the `diff_ids` in it.
//! The layers are streamed once, for that and for the claim of the tree.

use super::late::Late;
use crate::class::{Class, Failure};
use crate::engine::{self, Engine, EngineImage};
use crate::layers;
use crate::name::{Digest, Reference};
use crate::registry::{Manifest, ManifestKind};
use crate::session::Connections;
use crate::store::{PushRecord, Word};
use crate::tree::{ExpectedTree, check_diff_ids};
use crate::wire::SubjectDescriptor;
use oci_distribution::manifest::OciImageManifest;

/// What is to be signed.
pub(super) struct Identified {
    /// The manifest.
    pub(super) subject: SubjectDescriptor,
    /// The digest of its tree, where it has one that everybody who unpacks it agrees on.
    pub(super) tree: Option<Digest>,
    /// Whether an engine said that this is what it pushed; otherwise the tag was trusted.
    pub(super) vouched: bool,
}

/// Asks the engine that was asked for, else the one that luet was started with, what it pushed as
/// `reference`. Nothing where nobody is to be asked.
pub(super) async fn ask(
    connections: &Connections,
    reference: &Reference,
    name: &str,
) -> Result<Vec<EngineImage>, Failure> {
    engine::ask(engine_of(connections)?, reference, name, connections.environment()).await
}

/// Returns what is to be kept of that.
pub(super) fn words(known: &[EngineImage]) -> Vec<Word> {
    let word = |known: &EngineImage| match known {
        EngineImage::Docker { pushed, id } => {
            pushed.iter().chain([id]).copied().map(Word::Manifest).collect()
        }
        EngineImage::Buildah { config, .. } => vec![Word::Config(*config)],
    };
    known.iter().flat_map(word).collect()
}

/// Returns what was pushed as `reference`, as soon as the registry shows it.
pub(super) async fn identify(
    connections: &Connections,
    reference: &Reference,
    known: &[EngineImage],
) -> Result<Identified, Failure> {
    let mut late = Late::new(connections.client());
    let manifest = loop {
        let failure = match connections.client().resolve(reference).await {
            Ok(manifest) => match check(&manifest, known, reference) {
                Ok(()) => break manifest,
                Err(failure) => failure,
            },
            Err(failure) if failure.class() == Class::NotFound => failure.hint(LATER),
            Err(failure) => return Err(failure),
        };
        if !late.again().await {
            return Err(late.over(failure));
        }
    };
    let held = known.iter().any(|known| matches!(known, EngineImage::Buildah { .. }));
    let tree = match &manifest.kind {
        ManifestKind::Image(image) => read(connections, reference, image, held).await?,
        ManifestKind::Index(_) => None,
    };
    let vouched = !known.is_empty();
    Ok(Identified { subject: descriptor(&manifest)?, tree, vouched })
}

/// Returns what a manifest is called by where something refers to it.
pub(super) fn descriptor(manifest: &Manifest) -> Result<SubjectDescriptor, Failure> {
    Ok(SubjectDescriptor {
        media_type: manifest.media_type.clone(),
        bytes: u64::try_from(manifest.bytes.len())
            .map_err(|error| Failure::new(Class::Internal, error))?,
        digest: manifest.digest,
    })
}

/// What to do where what was pushed does not show.
const LATER: &str = "wait until the registry shows it, then run `luet-cosign sign-repo`";

fn check(manifest: &Manifest, known: &[EngineImage], reference: &Reference) -> Result<(), Failure> {
    known.iter().try_for_each(|known| match known {
        EngineImage::Docker { pushed, id } => check_docker(manifest, pushed, id, reference),
        EngineImage::Buildah { config, .. } => check_config(manifest, config, reference),
    })
}

/// Returns the digest of the tree of what is at the registry, for those who sign without an
/// engine.
///
/// # Errors
/// Those of the network. What is not an image of layers has no tree, which is not an error.
pub async fn tree_of(
    connections: &Connections,
    reference: &Reference,
    manifest: &Manifest,
) -> Result<Option<Digest>, Failure> {
    match &manifest.kind {
        ManifestKind::Image(image) => read(connections, reference, image, false).await,
        ManifestKind::Index(_) => Ok(None),
    }
}

/// Returns whether a manifest is what a record says was pushed under its name; where it is, the
/// digest of its tree, where it has one.
///
/// # Errors
/// Those of the network.
pub async fn is_what_was_pushed(
    connections: &Connections,
    reference: &Reference,
    manifest: &Manifest,
    push: &PushRecord,
) -> Result<Option<Option<Digest>>, Failure> {
    let image = match &manifest.kind {
        ManifestKind::Image(image) => Some(image),
        ManifestKind::Index(_) => None,
    };
    let config = image.and_then(|image| image.config.digest.parse().ok());
    if !push.may_be(&manifest.digest, config.as_ref()) {
        return Ok(None);
    }
    let Some(image) = image else { return Ok(Some(None)) };
    match read(connections, reference, image, push.configs().next().is_some()).await {
        Ok(tree) => Ok(Some(tree)),
        Err(failure) if failure.class() == Class::Digest => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Reads the layers; where the engine vouches for the configuration alone, they must be those that
/// it names.
async fn read(
    connections: &Connections,
    reference: &Reference,
    image: &OciImageManifest,
    held: bool,
) -> Result<Option<Digest>, Failure> {
    let repository = reference.repository();
    let layers = match layers::read(connections.client(), repository, image).await {
        Ok(layers) => layers,
        // Not an image that a host unpacks: there is no tree to claim, and nobody asked about one.
        Err(failure)
            if !held && matches!(failure.class(), Class::Unsupported | Class::Malformed) =>
        {
            return Ok(None);
        }
        Err(failure) => return Err(failure),
    };
    if held {
        let diff_ids = layers::diff_ids(connections.client(), repository, image).await?;
        check_diff_ids(&layers, &diff_ids).map_err(|failure| {
            failure
                .within(format!("`{reference}`"))
                .hint("someone else pushed other layers to this tag: find out who, and push again")
        })?;
    }
    Ok(ExpectedTree::of(&layers).digest())
}

/// The engine that was asked for, else the one that luet was started with.
pub(super) fn engine_of(connections: &Connections) -> Result<Option<Engine>, Failure> {
    engine::chosen(connections.environment(), connections.host().flag("backend"))
}

fn moved(reference: &Reference, engine: &str, expected: &str, found: &Digest) -> Failure {
    Failure::new(
        Class::Digest,
        format!("`{reference}` is `{found}` at the registry, but {engine} pushed {expected}"),
    )
    .hint("the registry shows pushes late: wait, then run `luet-cosign sign-repo`; or someone else pushed to this tag: find out who, and push again")
}

fn check_docker(
    manifest: &Manifest,
    pushed: &[Digest],
    id: &Digest,
    reference: &Reference,
) -> Result<(), Failure> {
    // With the containerd image store the id is the manifest's own digest.
    if pushed.contains(&manifest.digest) || *id == manifest.digest {
        return Ok(());
    }
    let known: Vec<String> = pushed.iter().map(|digest| format!("`{digest}`")).collect();
    let known = if known.is_empty() {
        format!("an image `{id}` that it never pushed there")
    } else {
        known.join(", ")
    };
    Err(moved(reference, "docker", &known, &manifest.digest))
}

fn check_config(
    manifest: &Manifest,
    config: &Digest,
    reference: &Reference,
) -> Result<(), Failure> {
    match &manifest.kind {
        ManifestKind::Image(image) if image.config.digest == config.to_string() => Ok(()),
        _ => Err(moved(
            reference,
            "buildah",
            &format!("an image with the configuration `{config}`"),
            &manifest.digest,
        )),
    }
}
