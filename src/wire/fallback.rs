//! The index under the fallback tag `sha256-HEX`: the referrers of a subject at a registry that
//! does not list them itself.
//!
//! OCI distribution-spec 1.1, "Referrers Tag Schema". Descriptors of others are kept byte for byte.
//! Read for writing only: what looks for signatures takes the index as any other (`registry`).

use super::bundle::BUNDLE_TYPE;
use super::json;
use super::referrer::TypeHint;
use crate::class::{Class, Failure};
use crate::limits;
use crate::name::Digest;
use oci_distribution::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The index under a fallback tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackIndex {
    document: Map<String, Value>,
    manifests: Vec<Value>,
}

impl Default for FallbackIndex {
    fn default() -> Self {
        let document = [
            ("schemaVersion", json!(2)),
            ("mediaType", json!(OCI_IMAGE_INDEX_MEDIA_TYPE)),
            ("manifests", json!([])),
        ];
        Self {
            document: document.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            manifests: Vec::new(),
        }
    }
}

impl FallbackIndex {
    /// Parses an index. Fields that are not known here stay.
    ///
    /// # Errors
    /// `malformed`: something else than an index is under the tag, which is then not overwritten.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let failure = || Failure::new(Class::Malformed, "the fallback tag is not an index");
        let value = json::parse(bytes)
            .map_err(|failure| failure.within("the index under the fallback tag"))?;
        let Value::Object(mut document) = value else { return Err(failure()) };
        if document.get("mediaType").is_some_and(|kind| kind != OCI_IMAGE_INDEX_MEDIA_TYPE) {
            return Err(failure());
        }
        match document.get_mut("manifests").map(Value::take) {
            Some(Value::Array(manifests)) => Ok(Self { document, manifests }),
            _ => Err(failure()),
        }
    }

    /// Whether the index lists a manifest.
    #[must_use]
    pub fn lists(&self, manifest: &Digest) -> bool {
        let digest = manifest.to_string();
        self.manifests
            .iter()
            .any(|entry| entry.get("digest").and_then(Value::as_str) == Some(&digest))
    }

    /// Takes out what is listed and not there, and returns whether anything was.
    pub fn remove(&mut self, holes: &BTreeSet<Digest>) -> bool {
        let before = self.manifests.len();
        self.manifests.retain(|entry| {
            let digest = entry.get("digest").and_then(Value::as_str);
            !digest
                .and_then(|digest| digest.parse().ok())
                .is_some_and(|digest| holes.contains(&digest))
        });
        self.manifests.len() < before
    }

    /// Returns the digests that are listed, as far as they are such.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let digest = |entry: &Value| entry.get("digest")?.as_str()?.parse().ok();
        self.manifests.iter().filter_map(digest).collect()
    }

    /// Adds the manifest of a bundle.
    ///
    /// # Errors
    /// `limit`: there are as many as readers look at already.
    pub fn push(&mut self, manifest: &[u8]) -> Result<(), Failure> {
        let signs = |entry: &Value| {
            let kind = entry.get("artifactType").and_then(Value::as_str);
            TypeHint::of(kind) == TypeHint::Signature
        };
        let signatures = self.manifests.iter().filter(|entry| signs(entry)).count();
        if signatures >= limits::REFERRERS || self.manifests.len() >= limits::INDEX_ENTRIES {
            let message = format!(
                "the image has {} referrers under the fallback tag, {signatures} of them signatures; one more would not be read",
                self.manifests.len()
            );
            return Err(Failure::new(Class::Limit, message)
                .hint("remove referrers that are not needed, or sign in the legacy format"));
        }
        self.manifests.push(json!({
            "mediaType": OCI_IMAGE_MEDIA_TYPE,
            "size": manifest.len(),
            "digest": Digest::of(manifest).to_string(),
            "artifactType": BUNDLE_TYPE,
        }));
        Ok(())
    }

    /// Returns the bytes to write.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut document = self.document.clone();
        document.insert("manifests".to_owned(), Value::Array(self.manifests.clone()));
        json::to_go_bytes(&Value::Object(document))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_descriptors_survive_byte_for_byte() {
        let theirs = r#"{"z":1,"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":877,"annotations":{"b":"1","a":"2"}}"#;
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{theirs}],"x-unknown":[1]}}"#);
        let mut index = FallbackIndex::parse(index.as_bytes()).unwrap();
        assert!(!index.lists(&Digest::of(b"{}")) && index.lists(&Digest::of(b"")));
        index.push(b"{}").unwrap();
        let written = String::from_utf8(index.to_bytes()).unwrap();
        assert!(written.contains(theirs) && written.contains(r#""x-unknown":[1]"#), "{written}");
        let read = FallbackIndex::parse(written.as_bytes()).unwrap();
        assert!(read.lists(&Digest::of(b"{}")) && read.lists(&Digest::of(b"")));
    }

    #[test]
    fn what_is_no_index_is_not_overwritten() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"manifests":{}}"#,
            r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#,
        ] {
            assert_eq!(
                FallbackIndex::parse(text.as_bytes()).map_err(|failure| failure.class()),
                Err(Class::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn an_index_does_not_grow_beyond_what_is_read() {
        let sbom = json!({"artifactType": "application/spdx+json"});
        let mut index = FallbackIndex { manifests: vec![sbom; 1_000], ..FallbackIndex::default() };
        for _ in 0..limits::REFERRERS {
            index.push(b"{}").unwrap();
        }
        assert_eq!(index.push(b"{}").map_err(|failure| failure.class()), Err(Class::Limit));
        index.manifests = vec![json!({"artifactType": "text"}); limits::INDEX_ENTRIES];
        assert_eq!(index.push(b"{}").map_err(|failure| failure.class()), Err(Class::Limit));
    }
}
