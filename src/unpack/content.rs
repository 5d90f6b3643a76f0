//! What is in `Dest`, held against what was verified.
//!
//! luet's extractor does not check layer bytes, so the yes is said here,
//! about bytes on disk: first by the digest of the tree that our signer claimed, without a request;
//! else by the layers, streamed once more, which decide.

use super::platform;
use crate::class::{Class, Failure};
use crate::dest::{self, Dest, DirectoryListing, Walked};
use crate::layers;
use crate::limits;
use crate::name::{Digest, Reference, Repository};
use crate::policy::PostUnpack;
use crate::registry::{Client, ManifestKind, Presence};
use crate::session::Session;
use crate::store::Verified;
use crate::tree::{Accepted, ExpectedTree, Meaning, TreePath, difference};
use oci_distribution::manifest::OciImageManifest;

/// How it was found out that the content is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nothing was compared, for the policy says so.
    Off,
    /// The digest of the tree that the signature claims.
    Tree,
    /// The layers, in both meanings or in one.
    Layers(Accepted),
}

impl Proof {
    /// Returns what was found, for people.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Off => "not compared (post_unpack: off)",
            Self::Tree => "equal to the signed tree",
            Self::Layers(Accepted::Both) => "equal to the layers",
            Self::Layers(Accepted::Only(Meaning::Host)) => {
                "equal to the layers as the host unpacks them, which differs from the OCI meaning"
            }
            Self::Layers(Accepted::Only(Meaning::Oci)) => {
                "equal to the layers in the OCI meaning, which differs from the host's"
            }
        }
    }
}

/// Compares what is in `dest` with what was verified. Returns how, and which files that were
/// there before were written to meanwhile.
pub(super) async fn compare(
    session: &Session,
    image: &str,
    dest: &Dest,
    before: &DirectoryListing,
    verified: &Verified,
) -> Result<(Proof, Vec<TreePath>), Failure> {
    let mode = session.policy().post_unpack();
    if mode == PostUnpack::Off {
        return Ok((Proof::Off, Vec::new()));
    }
    let pause = session.client().pause();
    let walked = dest::walk(
        dest,
        &dest::WalkOptions { before: Some(before), ..dest::WalkOptions::default() },
    )?;
    drop(pause);
    if mode != PostUnpack::Layers
        && let Some(claimed) = verified.tree
        && walked.tree.digest() == Some(claimed)
        // What was there before has to be what it was, or part of this tree, which is the signed
        // one.
        && difference(&walked.tree, &walked.tree, &walked.terms).total == 0
    {
        return Ok((Proof::Tree, walked.written));
    }
    if mode == PostUnpack::Tree {
        let what = if verified.tree.is_some() {
            "is not the tree that was signed"
        } else {
            "cannot be compared: no tree is claimed by as many signers as the rule wants"
        };
        return Err(Failure::new(Class::Tree, format!("what was unpacked into `{dest}` {what}"))
            .hint("with `post_unpack: auto` the layers decide, and say which files differ"));
    }
    let accepted = by_layers(session, image, &walked, verified).await?;
    Ok((Proof::Layers(accepted), walked.written))
}

/// Streams the layers of the verified image, and for an index of each image that the host can have
/// chosen.
async fn by_layers(
    session: &Session,
    image: &str,
    walked: &Walked,
    verified: &Verified,
) -> Result<Accepted, Failure> {
    let reference: Reference = image.parse()?;
    let repository = reference.repository();
    let mut refusal = None;
    for image in images(session, repository, verified).await? {
        let layers = layers::read(session.client(), repository, &image).await?;
        match ExpectedTree::of(&layers).accepts(&walked.tree, &walked.terms) {
            Ok(accepted) => return Ok(accepted),
            // Of several images the first is the likeliest, so its differences are the ones to
            // show.
            Err(failure) => refusal = refusal.or(Some(failure)),
        }
    }
    Err(refusal
        .unwrap_or_else(|| Failure::new(Class::Tree, "the index has no image that this host can have chosen"))
        .hint("run it again: the tag may have moved meanwhile; if it happens again, do not use this registry"))
}

/// Returns the images that may be in `Dest`: what was signed, or where that is an index those for
/// the host's platform.
async fn images(
    session: &Session,
    repository: &Repository,
    verified: &Verified,
) -> Result<Vec<OciImageManifest>, Failure> {
    match manifest(session.client(), repository, &verified.signed).await? {
        ManifestKind::Image(image) => Ok(vec![image]),
        ManifestKind::Index(index) => {
            let mut images = Vec::new();
            for digest in platform::children(&index, session.host().flag("platform"))? {
                match manifest(session.client(), repository, &digest).await? {
                    ManifestKind::Image(image) => images.push(image),
                    ManifestKind::Index(_) => {
                        return Err(super::malformed("an index within an index"));
                    }
                }
            }
            Ok(images)
        }
    }
}

async fn manifest(
    client: &Client,
    repository: &Repository,
    digest: &Digest,
) -> Result<ManifestKind, Failure> {
    match client.manifest(repository, digest, limits::MANIFEST_BYTES).await? {
        Presence::There(manifest) => Ok(manifest.kind),
        Presence::Absent(_) => Err(Failure::new(
            Class::Registry,
            format!("`{repository}@{digest}`, which was there before unpacking, is gone"),
        )),
    }
}

/// Says which files changed that are none of the image's. The host replaces files, so it was not
/// the one who wrote to them.
pub(super) fn written_notice(dest: &Dest, written: &[TreePath]) -> Option<String> {
    let (first, more) = written.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    Some(format!(
        "in `{dest}`, another process wrote to `{first}`{more} meanwhile, which was there before"
    ))
}

/// Makes sure that nothing of what was refused is used: what held nothing before holds nothing
/// again; anything else is left.
pub(super) fn clear(dest: &Dest, before: &DirectoryListing, refusal: Failure) -> Failure {
    if !before.is_empty() {
        return refusal.detail(format!(
            "`{dest}` was not empty before, so it is left as it is: do not use what is in it"
        ));
    }
    match dest::empty(dest) {
        Ok(()) => refusal.detail(format!("`{dest}` was emptied")),
        Err(failure) => refusal.detail(format!(
            "`{dest}` could not be emptied, do not use what is in it: {}",
            failure.message()
        )),
    }
}
