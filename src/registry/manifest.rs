//! Manifests and indexes as fetched: the bytes, their digest, and the one meaning they can have.
//!
//! Three things say what a document is: the `Content-Type`, the `mediaType` inside and its shape.
//! Where two of them disagree the document is refused, or two readers could see two images in it
//! (CVE-2021-41190; docs/threats.md R07). Never judges layer types, and never follows
//! `urls`.

use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use crate::wire::json;
use oci_distribution::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, ImageIndexEntry,
    OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageIndex,
    OciImageManifest,
};
use serde_json::{Map, Value};

/// What every request for a manifest accepts: both spellings of an image and of an index.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1";

/// A manifest or an index, with the bytes that its digest is of.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The bytes as they came; nothing else is ever hashed, stored or compared.
    pub bytes: Vec<u8>,
    /// The digest of the bytes, computed here.
    pub digest: Digest,
    /// The media type on which header, document and shape agree.
    pub media_type: String,
    /// The `subject`, where there is one (an index may have one as well).
    pub subject: Option<Digest>,
    /// The parsed document. Every digest in it is SHA-256 and no size is negative.
    pub kind: ManifestKind,
}

/// The two things that a manifest can be.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each fetch, and callers match on it"
)]
pub enum ManifestKind {
    /// An image or an artifact: a configuration and layers.
    Image(OciImageManifest),
    /// A list of manifests.
    Index(OciImageIndex),
}

impl Manifest {
    /// Reads a manifest or an index; `content_type` is the header, where there was one.
    ///
    /// # Errors
    /// `malformed` for what is none, is schema 1, or can be read in two ways; `limit` for too many
    /// entries or levels; `registry` for a `Content-Type` that is not a manifest's.
    pub fn parse(bytes: Vec<u8>, content_type: Option<&str>) -> Result<Self, Failure> {
        let claimed = content_type.map(essence);
        if let Some(claimed) = claimed.as_deref() {
            check_type(claimed)?;
        }
        let value = json::parse(&bytes).map_err(|failure| failure.within("a manifest"))?;
        let Value::Object(document) = &value else {
            return Err(malformed("a manifest is not a JSON object"));
        };
        let media_type = media_type(document, claimed)?;
        let subject = subject(document)?;
        let kind = kind(document, &media_type, &value)?;
        Ok(Self { digest: Digest::of(&bytes), bytes, media_type, subject, kind })
    }
}

/// A descriptor whose digest and size have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The digest of the content.
    pub digest: Digest,
    /// Its length, in bytes.
    pub size: u64,
    /// Its media type, as the registry says.
    pub media_type: String,
    /// The artifact type, where one is named. A hint: registries and clients are known to write
    /// wrong ones (cosign #4641).
    pub artifact_type: Option<String>,
}

impl TryFrom<&OciDescriptor> for Descriptor {
    type Error = Failure;

    fn try_from(from: &OciDescriptor) -> Result<Self, Failure> {
        Ok(Self {
            digest: from.digest.parse()?,
            size: size(from.size)?,
            media_type: from.media_type.clone(),
            artifact_type: from.artifact_type.clone(),
        })
    }
}

impl TryFrom<&ImageIndexEntry> for Descriptor {
    type Error = Failure;

    fn try_from(from: &ImageIndexEntry) -> Result<Self, Failure> {
        Ok(Self {
            digest: from.digest.parse()?,
            size: size(from.size)?,
            media_type: from.media_type.clone(),
            artifact_type: from.artifact_type.clone(),
        })
    }
}

fn malformed(message: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Malformed, message)
}

/// Returns a media type without its parameters, in lower case.
pub(super) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

fn size(size: i64) -> Result<u64, Failure> {
    u64::try_from(size)
        .map_err(|_| malformed(format!("a descriptor has size `{size}`; expected 0 or more")))
}

fn is_image(media_type: &str) -> bool {
    matches!(media_type, OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE)
}

fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE)
}

fn check_type(claimed: &str) -> Result<(), Failure> {
    if is_image(claimed) || is_index(claimed) {
        Ok(())
    } else if claimed.starts_with(SCHEMA_1) {
        Err(malformed("a manifest of Docker schema 1, which names no verifiable content")
            .hint("push the image again with a current tool"))
    } else {
        Err(Failure::new(
            Class::Registry,
            format!("`Content-Type: {claimed}` where a manifest was expected"),
        ))
    }
}

fn media_type(document: &Map<String, Value>, claimed: Option<String>) -> Result<String, Failure> {
    if document.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
        let found = document.get("schemaVersion").map_or("nothing".to_owned(), ToString::to_string);
        return Err(malformed(format!("`schemaVersion` is `{found}`; expected `2`")));
    }
    let inside = match document.get("mediaType") {
        None => None,
        Some(Value::String(inside)) => Some(inside.clone()),
        Some(other) => {
            return Err(malformed(format!("`mediaType` is `{other}`; expected a string")));
        }
    };
    match (inside, claimed) {
        (Some(inside), Some(claimed)) if inside != claimed => {
            Err(malformed(format!("a manifest calls itself `{inside}` and comes as `{claimed}`")))
        }
        (Some(media_type), _) | (None, Some(media_type)) => {
            check_type(&media_type).map_err(|failure| failure.as_class(Class::Malformed))?;
            Ok(media_type)
        }
        (None, None) if document.contains_key("manifests") => {
            Ok(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned())
        }
        (None, None) => Ok(OCI_IMAGE_MEDIA_TYPE.to_owned()),
    }
}

fn subject(document: &Map<String, Value>) -> Result<Option<Digest>, Failure> {
    match document.get("subject") {
        None | Some(Value::Null) => Ok(None),
        Some(subject) => match subject.get("digest").and_then(Value::as_str) {
            Some(digest) => digest.parse().map(Some),
            None => Err(malformed("`subject` has no digest")),
        },
    }
}

/// Refuses a descriptor written as a list, which the parser below would read field by field and no
/// other would.
fn check_objects(document: &Map<String, Value>, list: &str) -> Result<(), Failure> {
    let listed = document.get(list).and_then(Value::as_array).into_iter().flatten();
    let single = ["config", "subject"]
        .iter()
        .filter_map(|key| document.get(*key))
        .filter(|value| !value.is_null());
    let platforms = document
        .get("manifests")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get("platform"));
    match listed
        .chain(single)
        .chain(platforms.filter(|value| !value.is_null()))
        .find(|value| !value.is_object())
    {
        Some(_) => Err(malformed("a descriptor in a manifest is not a JSON object")),
        None => Ok(()),
    }
}

fn kind(
    document: &Map<String, Value>,
    media_type: &str,
    value: &Value,
) -> Result<ManifestKind, Failure> {
    let has = |key: &str| document.contains_key(key);
    if has("fsLayers") || has("signatures") {
        return Err(malformed("a manifest has the keys of Docker schema 1"));
    }
    let (foreign, list, most): (&[&str], _, _) = if is_image(media_type) {
        (&["manifests"], "layers", limits::LEGACY_SIGNATURES)
    } else {
        (&["layers", "config"], "manifests", limits::INDEX_ENTRIES)
    };
    if let Some(key) = foreign.iter().find(|key| has(key)) {
        return Err(malformed(format!(
            "a `{media_type}` has `{key}`, so it can be read in two ways"
        )));
    }
    let entries = document.get(list).and_then(Value::as_array).map_or(0, Vec::len);
    if entries > most {
        return Err(Failure::new(
            Class::Limit,
            format!("`{list}` has {entries} entries; at most {most} are read"),
        ));
    }
    check_objects(document, list)?;
    let wrong = |error: serde_json::Error| malformed(format!("not a `{media_type}`: {error}"));
    if is_image(media_type) {
        let mut image: OciImageManifest = serde::Deserialize::deserialize(value).map_err(wrong)?;
        // Nobody asks for these, and they can be all of 4 MiB; of URLs only whether there are any.
        image.annotations = None;
        for layer in image.layers.iter_mut().chain([&mut image.config]).chain(&mut image.subject) {
            layer.annotations = None;
            layer.urls.iter_mut().for_each(|urls| urls.truncate(1));
        }
        for descriptor in image.layers.iter().chain([&image.config]).chain(&image.subject) {
            Descriptor::try_from(descriptor)?;
        }
        Ok(ManifestKind::Image(image))
    } else {
        let mut index: OciImageIndex = serde::Deserialize::deserialize(value).map_err(wrong)?;
        index.annotations = None;
        index.manifests.iter_mut().for_each(|entry| entry.annotations = None);
        for entry in &index.manifests {
            Descriptor::try_from(entry)?;
        }
        Ok(ManifestKind::Index(index))
    }
}
