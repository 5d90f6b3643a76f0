//! What an archive holds: one image, where it came from, and signatures. Everything else is refused,
//! for another reader could take it for the image.

use super::layout::{Layout, malformed};
use super::plan::{
    DOCKER, INDEX, KIND, KIND_INDEX, LAYOUT, LAYOUT_TEXT, NAME, REF_NAME, blob_name,
};
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::{Digest, Reference, Tag};
use crate::registry::{Manifest, ManifestKind};
use crate::wire::json;
use oci_distribution::manifest::OciImageManifest;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What an archive says it holds. The blobs of the image are checked by
/// [`check_image`](Self::check_image).
#[derive(Clone, Debug)]
pub struct Contents {
    /// The image.
    pub image: Manifest,
    /// The index that it was taken from.
    pub index: Option<Manifest>,
    /// The name that the archive records: its author chose it.
    pub name: Option<Reference>,
    /// Manifests of signatures.
    pub signatures: Vec<Signature>,
}

/// A manifest of signatures.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The tag that it lay under; none for a referrer.
    pub tag: Option<Tag>,
    /// The manifest.
    pub manifest: Manifest,
}

#[derive(Deserialize)]
struct IndexWire {
    manifests: Vec<DescriptorWire>,
}

#[derive(Deserialize)]
struct DescriptorWire {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct DockerWire {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

impl Contents {
    /// Reads what an archive holds.
    ///
    /// # Errors
    /// `malformed`: more than one image, or something that another reader could take for one.
    /// `digest`: a manifest is something else than it is listed as.
    pub fn of(layout: &Layout) -> Result<Self, Failure> {
        let text = layout.document(LAYOUT, limits::ERROR_BODY_BYTES)?;
        if json::parse(&text)? != json::parse(LAYOUT_TEXT.as_bytes())? {
            return Err(malformed("`oci-layout` is of another version"));
        }
        let index: IndexWire = json::parse_as(&layout.document(INDEX, limits::MANIFEST_BYTES)?)
            .map_err(|failure| failure.within("`index.json`"))?;
        if index.manifests.len() > limits::ARCHIVE_FILES {
            return Err(Failure::new(Class::Limit, "`index.json` lists too many manifests"));
        }
        let (mut image, mut indexes, mut signatures) = (None, Vec::new(), Vec::new());
        for wire in &index.manifests {
            let manifest = manifest(layout, wire)?;
            let is_index = matches!(manifest.kind, ManifestKind::Index(_));
            if is_index {
                indexes.push((manifest, wire));
            } else if let Some(signature) = signature(&manifest, wire)? {
                signatures.push(signature);
            } else if image.replace((manifest, wire)).is_some() {
                return Err(malformed("it holds more than one image")
                    .hint("write one image into an archive, as `luet-cosign pull` does"));
            }
        }
        let (image, wire) = image.ok_or_else(|| malformed("it holds no image"))?;
        let name = wire.annotations.get(NAME).map(|name| name.parse::<Reference>()).transpose()?;
        let tag = wire.annotations.get(REF_NAME);
        let expected = name.as_ref().and_then(Reference::tag).map(ToString::to_string);
        if name.is_some() && tag != expected.as_ref() {
            return Err(malformed("its image has two names"));
        }
        let index = index_of(indexes, &image)?;
        let contents = Self { image, index, name, signatures };
        if layout.is_file() {
            contents.check_docker(layout)?;
        }
        contents.check_known(layout)?;
        Ok(contents)
    }

    /// Returns what was signed: the index where there is one, else the image.
    #[must_use]
    pub fn subject(&self) -> &Manifest {
        self.index.as_ref().unwrap_or(&self.image)
    }

    /// Reads every blob of the image to its last byte.
    ///
    /// # Errors
    /// `digest`: one is something else, or not there.
    pub fn check_image(&self, layout: &Layout, progress: &dyn Fn(u64)) -> Result<(), Failure> {
        let mut seen = BTreeSet::new();
        for (digest, size) in blobs(parsed(&self.image)?)? {
            if seen.insert(digest) {
                layout.check_blob(&digest, size, progress)?;
            }
        }
        Ok(())
    }

    /// Returns how many bytes [`check_image`](Self::check_image) reads.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let blobs = parsed(&self.image).and_then(blobs).unwrap_or_default();
        blobs.into_iter().map(|(_, size)| size).sum()
    }

    /// docker reads `manifest.json`, so it has to say the same.
    fn check_docker(&self, layout: &Layout) -> Result<(), Failure> {
        let images: Vec<DockerWire> =
            json::parse_as(&layout.document(DOCKER, limits::MANIFEST_BYTES)?)
                .map_err(|failure| failure.within("`manifest.json`"))?;
        let [docker] = images.as_slice() else {
            return Err(malformed("`manifest.json` does not list one image"));
        };
        let image = parsed(&self.image)?;
        let path = |digest: &str| digest.parse().map(|digest| blob_name(&digest));
        let layers: Vec<String> =
            image.layers.iter().map(|layer| path(&layer.digest)).collect::<Result<_, Failure>>()?;
        if docker.config != path(&image.config.digest)? || docker.layers != layers {
            return Err(malformed("`manifest.json` and `index.json` are about two images"));
        }
        let name = self.name.as_ref().filter(|name| name.tag().is_some());
        let name = name.map(|name| match (name.tag(), name.repository()) {
            (Some(tag), repository) => format!("{repository}:{tag}"),
            (None, repository) => repository.to_string(),
        });
        let tags = docker.tags.clone().unwrap_or_default();
        if tags != name.into_iter().collect::<Vec<_>>() {
            return Err(malformed("`manifest.json` and `index.json` name it differently"));
        }
        Ok(())
    }

    /// Nothing is in it that belongs to nothing.
    fn check_known(&self, layout: &Layout) -> Result<(), Failure> {
        let mut known = BTreeSet::new();
        for manifest in
            [&self.image].into_iter().chain(self.signatures.iter().map(|found| &found.manifest))
        {
            known.insert(manifest.digest);
            known.extend(blobs(parsed(manifest)?)?.into_iter().map(|(digest, _)| digest));
        }
        known.extend(self.index.iter().map(|index| index.digest));
        match layout.blobs().find(|digest| !known.contains(digest)) {
            Some(digest) => {
                Err(malformed(format!("it holds `{digest}`, which nothing in it names")))
            }
            None => Ok(()),
        }
    }
}

fn parsed(manifest: &Manifest) -> Result<&OciImageManifest, Failure> {
    match &manifest.kind {
        ManifestKind::Image(image) => Ok(image),
        ManifestKind::Index(_) => Err(malformed("an index where an image was expected")),
    }
}

/// Returns configuration and layers.
fn blobs(image: &OciImageManifest) -> Result<Vec<(Digest, u64)>, Failure> {
    std::iter::once(&image.config)
        .chain(&image.layers)
        .map(|descriptor| {
            let size =
                u64::try_from(descriptor.size).map_err(|_| malformed("a blob of negative size"))?;
            Ok((descriptor.digest.parse()?, size))
        })
        .collect()
}

fn manifest(layout: &Layout, wire: &DescriptorWire) -> Result<Manifest, Failure> {
    let digest: Digest = wire.digest.parse()?;
    let bytes = layout.blob(&digest, limits::MANIFEST_BYTES)?;
    if u64::try_from(bytes.len()) != Ok(wire.size) {
        return Err(Failure::new(Class::Digest, format!("`{digest}` has another size")));
    }
    Manifest::parse(bytes, Some(&wire.media_type))
}

/// Reads a manifest that can be nothing but signatures: what else could be unpacked is none.
fn signature(manifest: &Manifest, wire: &DescriptorWire) -> Result<Option<Signature>, Failure> {
    let image = parsed(manifest)?;
    let signs = |kind: &str| {
        kind.starts_with("application/vnd.dev.cosign.simplesigning.")
            || kind.starts_with("application/vnd.dev.sigstore.bundle")
    };
    if image.layers.is_empty() || !image.layers.iter().all(|layer| signs(&layer.media_type)) {
        return Ok(None);
    }
    if wire.annotations.contains_key(NAME) {
        return Err(malformed("a signature in it has the name of an image"));
    }
    let tag = wire.annotations.get(REF_NAME).map(|tag| tag.parse::<Tag>()).transpose()?;
    if tag.as_ref().is_some_and(|tag| !tag.as_str().ends_with(".sig")) {
        return Err(malformed("a signature in it has the tag of an image"));
    }
    Ok(Some(Signature { tag, manifest: manifest.clone() }))
}

/// The index that the image is in; no other is there.
fn index_of(
    indexes: Vec<(Manifest, &DescriptorWire)>,
    image: &Manifest,
) -> Result<Option<Manifest>, Failure> {
    let mut indexes = indexes.into_iter();
    let Some((index, wire)) = indexes.next() else { return Ok(None) };
    if indexes.next().is_some() {
        return Err(malformed("it holds more than one index"));
    }
    let ManifestKind::Index(parsed) = &index.kind else { return Ok(None) };
    let wanted = image.digest.to_string();
    if !parsed.manifests.iter().any(|entry| entry.digest == wanted) {
        return Err(malformed("its image is not in its index"));
    }
    let only_kind = wire.annotations.iter().all(|(key, value)| key == KIND && value == KIND_INDEX);
    if !only_kind {
        return Err(malformed("its index has the name of an image"));
    }
    Ok(Some(index))
}
