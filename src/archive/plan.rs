//! What goes into an archive: every file of it, in order and with its size, so that an archive of
//! the same image is the same file, and one that broke off can be gone on with.

use crate::class::{Class, Failure};
use crate::name::{Digest, Reference, Repository};
use crate::registry::{Manifest, ManifestKind};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
pub(super) const DOCKER: &str = "manifest.json";
pub(super) const BLOBS: &str = "blobs/sha256/";
pub(super) const LAYOUT_TEXT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// How containerd names what it imports.
pub(super) const NAME: &str = "io.containerd.image.name";
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What cosign calls the parts of a layout (`cosign save`).
pub(super) const KIND: &str = "kind";
pub(super) const KIND_IMAGE: &str = "dev.cosignproject.cosign/image";
pub(super) const KIND_INDEX: &str = "dev.cosignproject.cosign/imageIndex";
pub(super) const KIND_SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// One file of an archive.
#[derive(Clone, Debug)]
pub(super) struct PlannedFile {
    pub(super) name: String,
    pub(super) size: u64,
    pub(super) body: PlannedBody,
}

#[derive(Clone, Debug)]
pub(super) enum PlannedBody {
    Held(Vec<u8>),
    Fetched { repository: Repository, digest: Digest },
}

/// An image that goes into an archive.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name that the archive records.
    pub name: Reference,
    /// The image.
    pub manifest: Manifest,
    /// The index that it was taken from, where that goes along.
    pub index: Option<Manifest>,
}

/// Every file of an archive.
#[derive(Clone, Debug)]
pub struct Plan {
    blobs: Vec<PlannedFile>,
    known: BTreeSet<Digest>,
    listed: Vec<Value>,
    docker: Value,
}

impl Plan {
    /// Plans an archive of one image.
    ///
    /// # Errors
    /// `unsupported`: it is not an image with layers, or a layer has to be fetched from elsewhere.
    pub fn new(image: &Image, with_signatures: bool) -> Result<Self, Failure> {
        let ManifestKind::Image(parsed) = &image.manifest.kind else {
            return Err(Failure::new(Class::Unsupported, "an index is not an image"));
        };
        let mut plan = Self {
            blobs: Vec::new(),
            known: BTreeSet::new(),
            listed: Vec::new(),
            docker: Value::Null,
        };
        let repository = image.name.repository();
        let mut annotations = json!({NAME: image.name.to_string()});
        let tag = image.name.tag().map(ToString::to_string);
        if let (Some(object), Some(tag)) = (annotations.as_object_mut(), &tag) {
            object.insert(REF_NAME.to_owned(), json!(tag));
        }
        if let (Some(object), true) = (annotations.as_object_mut(), with_signatures) {
            object.insert(KIND.to_owned(), json!(KIND_IMAGE));
        }
        plan.hold(&image.manifest, &annotations);
        if let Some(index) = &image.index {
            plan.hold(index, &json!({KIND: KIND_INDEX}));
        }
        let mut layers = Vec::new();
        for descriptor in std::iter::once(&parsed.config).chain(&parsed.layers) {
            if descriptor.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
                let what = format!("`{}` has to be fetched from elsewhere", descriptor.digest);
                return Err(Failure::new(Class::Unsupported, what));
            }
            let digest: Digest = descriptor.digest.parse()?;
            let size = u64::try_from(descriptor.size)
                .map_err(|_| Failure::new(Class::Malformed, "a blob of negative size"))?;
            plan.fetch(repository, digest, size);
            layers.push(blob_name(&digest));
        }
        let layers = layers.split_off(1);
        let tags: Vec<String> = image
            .name
            .tag()
            .map(|tag| Reference::tagged(repository.clone(), tag.clone()).to_string())
            .into_iter()
            .collect();
        let config: Digest = parsed.config.digest.parse()?;
        plan.docker = json!([{"Config": blob_name(&config), "RepoTags": tags, "Layers": layers}]);
        Ok(plan)
    }

    /// Adds a manifest of signatures, with what it lists. `tag` is the one that it is under.
    ///
    /// # Errors
    /// `malformed`: a blob of negative size.
    pub fn add_signatures(
        &mut self,
        repository: &Repository,
        manifest: &Manifest,
        tag: Option<&str>,
    ) -> Result<(), Failure> {
        let ManifestKind::Image(parsed) = &manifest.kind else {
            return Err(Failure::new(Class::Malformed, "an index where signatures were expected"));
        };
        if self.known.contains(&manifest.digest) {
            return Ok(());
        }
        let mut annotations = json!({KIND: KIND_SIGNATURES});
        if let (Some(object), Some(tag)) = (annotations.as_object_mut(), tag) {
            object.insert(REF_NAME.to_owned(), json!(tag));
        }
        self.hold(manifest, &annotations);
        for descriptor in std::iter::once(&parsed.config).chain(&parsed.layers) {
            let size = u64::try_from(descriptor.size)
                .map_err(|_| Failure::new(Class::Malformed, "a blob of negative size"))?;
            self.fetch(repository, descriptor.digest.parse()?, size);
        }
        Ok(())
    }

    /// Returns how many bytes have to be fetched.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let fetched = |entry: &&PlannedFile| matches!(entry.body, PlannedBody::Fetched { .. });
        self.blobs.iter().filter(fetched).map(|entry| entry.size).sum()
    }

    /// Returns the blobs, each once.
    pub(super) fn blobs(&self) -> &[PlannedFile] {
        &self.blobs
    }

    /// Returns `oci-layout` and `index.json`.
    pub(super) fn documents(&self) -> [PlannedFile; 2] {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": self.listed});
        [
            held(LAYOUT.to_owned(), LAYOUT_TEXT.into()),
            held(INDEX.to_owned(), index.to_string().into()),
        ]
    }

    /// Returns `manifest.json`, which docker reads.
    pub(super) fn docker(&self) -> PlannedFile {
        held(DOCKER.to_owned(), self.docker.to_string().into())
    }

    fn hold(&mut self, manifest: &Manifest, annotations: &Value) {
        self.listed.push(json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest.to_string(),
            "size": manifest.bytes.len(),
            "annotations": annotations,
        }));
        if self.known.insert(manifest.digest) {
            self.blobs.push(held(blob_name(&manifest.digest), manifest.bytes.clone()));
        }
    }

    fn fetch(&mut self, repository: &Repository, digest: Digest, size: u64) {
        if self.known.insert(digest) {
            let body = PlannedBody::Fetched { repository: repository.clone(), digest };
            self.blobs.push(PlannedFile { name: blob_name(&digest), size, body });
        }
    }
}

pub(super) fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}{}", digest.hex())
}

fn held(name: String, bytes: Vec<u8>) -> PlannedFile {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    PlannedFile { name, size, body: PlannedBody::Held(bytes) }
}
