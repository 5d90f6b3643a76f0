//! What a repository consists of, read from the images that say so.
//!
//! Each is read at a digest that was resolved before, and judged by the caller.

use crate::class::{Class, Failure};
use crate::layers;
use crate::limits;
use crate::luet::{self, Description, RepositoryFile};
use crate::name::{Digest, Reference, Repository, Tag};
use crate::registry::{ManifestKind, Presence};
use crate::session::Connections;
use crate::tree::{Limits, Single, read_single};
use crate::unpack;
use oci_distribution::manifest::OciImageManifest;
use std::collections::BTreeSet;
use std::fmt;

/// What an image is to its repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageRole {
    /// `repository.yaml`, or a snapshot of it.
    Description,
    /// A file that the description names.
    File,
    /// A package.
    Package,
    /// The `*.metadata.yaml` of a package.
    Metadata,
}

impl fmt::Display for ImageRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Description => "description",
            Self::File => "file",
            Self::Package => "package",
            Self::Metadata => "metadata",
        })
    }
}

/// An image that a repository names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedImage {
    /// What it is.
    pub what: ImageRole,
    /// Its tag.
    pub tag: Tag,
}

/// The names of a repository's images, each once.
#[derive(Debug, Default)]
pub(super) struct Names {
    seen: BTreeSet<Tag>,
}

impl Names {
    /// Returns the image, unless it was named before.
    pub(super) fn once(&mut self, what: ImageRole, tag: Tag) -> Option<NamedImage> {
        self.seen.insert(tag.clone()).then_some(NamedImage { what, tag })
    }
}

/// Reads the description in the image with this digest.
pub(super) async fn description(
    connections: &Connections,
    image: &Reference,
    digest: &Digest,
) -> Result<Description, Failure> {
    let manifest = manifest(connections, image.repository(), digest).await?;
    // The file in the image is called like the tag.
    let name = image.tag().map(ToString::to_string).unwrap_or_default();
    let read =
        layers::read_file(connections.client(), image.repository(), &manifest, &name, |text| {
            luet::read_description(text)
        });
    Ok(read.await.map_err(|failure| failure.within(format!("`{image}`")))?.value)
}

/// What was read of an index.
#[derive(Debug)]
pub(super) struct Index {
    /// The images of the packages, in pairs.
    pub(super) images: Vec<NamedImage>,
    /// Entries whose name can be no tag: nobody can fetch them.
    pub(super) unusable: Vec<Failure>,
    /// The digest of the archive that holds it, which the description names.
    pub(super) archive: Digest,
}

/// Reads the index in the image of the archive `file` with this digest.
pub(super) async fn index(
    connections: &Connections,
    image: &Reference,
    digest: &Digest,
    file: &RepositoryFile,
) -> Result<Index, Failure> {
    let manifest = manifest(connections, image.repository(), digest).await?;
    let read = |archive: &mut dyn std::io::Read| {
        let (mut images, mut unusable, mut names) = (Vec::new(), Vec::new(), Names::default());
        let mut take = |package: luet::Package| {
            for (what, tag) in
                [(ImageRole::Package, package.image()), (ImageRole::Metadata, package.metadata())]
            {
                match tag {
                    Ok(tag) => images.extend(names.once(what, tag)),
                    Err(failure) => unusable.push(failure),
                }
            }
            Ok(())
        };
        let found = read_single(archive, Limits::default(), luet::INDEX, |text| {
            luet::read_index(text, &mut take)
        })?;
        if found.is_none() {
            let message = format!("it has no `{}`", luet::INDEX);
            return Err(Failure::new(Class::Malformed, message));
        }
        Ok((images, unusable))
    };
    let read =
        layers::read_file(connections.client(), image.repository(), &manifest, &file.name, read)
            .await;
    let Single { value: (images, unusable), digest: archive } =
        read.map_err(|failure| failure.within(format!("`{image}`")))?;
    Ok(Index { images, unusable, archive })
}

/// Returns the manifest with this digest, and of an index that of this machine, which is the one
/// that the host reads here.
pub(super) async fn manifest(
    connections: &Connections,
    repository: &Repository,
    digest: &Digest,
) -> Result<OciImageManifest, Failure> {
    let gone = |digest: &Digest| {
        Failure::new(Class::Registry, format!("`{repository}@{digest}`, which was there, is gone"))
    };
    let fetch = async |digest: &Digest| match connections
        .client()
        .manifest(repository, digest, limits::MANIFEST_BYTES)
        .await?
    {
        Presence::There(manifest) => Ok(manifest.kind),
        Presence::Absent(_) => Err(gone(digest)),
    };
    let index = match fetch(digest).await? {
        ManifestKind::Image(image) => return Ok(image),
        ManifestKind::Index(index) => index,
    };
    let child = unpack::image_for_this_machine(&index)?.ok_or_else(|| {
        let message = format!("`{repository}@{digest}` has no image for this machine");
        Failure::new(Class::NotFound, message)
    })?;
    match fetch(&child).await? {
        ManifestKind::Image(image) => Ok(image),
        ManifestKind::Index(_) => Err(Failure::new(Class::Malformed, "an index within an index")),
    }
}
