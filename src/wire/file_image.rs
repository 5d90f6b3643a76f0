//! A file as an image: one layer with the file's own bytes, as `cosign upload blob` writes it. The
//! same file has the same digest, whichever of the two uploaded it.

use super::json;
use crate::name::Digest;
use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// A file that is in a registry, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLayer {
    /// The media type of its bytes.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}

/// The platform that a file is for, where several are under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePlatform {
    /// The operating system.
    pub os: String,
    /// The processor; may be empty.
    pub architecture: String,
}

impl FileLayer {
    /// Returns the configuration of the image.
    #[must_use]
    pub fn config(&self) -> Vec<u8> {
        let epoch = "0001-01-01T00:00:00Z";
        json::to_go_bytes(&json!({
            "architecture": "",
            "created": epoch,
            "history": [{"created": epoch}],
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [self.digest.to_string()]},
            "config": {},
        }))
    }

    /// Returns the manifest of the image.
    #[must_use]
    pub fn manifest(&self, annotations: &BTreeMap<String, String>) -> Vec<u8> {
        let config = self.config();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_IMAGE_MEDIA_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "size": config.len(),
                "digest": Digest::of(&config).to_string(),
            },
            "layers": [{
                "mediaType": self.media_type,
                "size": self.bytes,
                "digest": self.digest.to_string(),
            }],
        });
        json::to_go_bytes(&annotated(manifest, annotations))
    }
}

/// Returns the index of several files, each given by the bytes of its manifest.
#[must_use]
pub fn write_file_index(
    files: &[(Vec<u8>, FilePlatform)],
    annotations: &BTreeMap<String, String>,
) -> Vec<u8> {
    let entries: Vec<Value> = files
        .iter()
        .map(|(manifest, platform)| {
            json!({
                "mediaType": OCI_IMAGE_MEDIA_TYPE,
                "size": manifest.len(),
                "digest": Digest::of(manifest).to_string(),
                "platform": {"architecture": platform.architecture, "os": platform.os},
            })
        })
        .collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE,
        "manifests": entries,
    });
    json::to_go_bytes(&annotated(index, annotations))
}

fn annotated(mut document: Value, annotations: &BTreeMap<String, String>) -> Value {
    if let (false, Some(object)) = (annotations.is_empty(), document.as_object_mut()) {
        let all: Map<String, Value> =
            annotations.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        object.insert("annotations".to_owned(), Value::Object(all));
    }
    document
}
